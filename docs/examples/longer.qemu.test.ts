/** The examples that boot many machines, or work them hard: once, on QEMU. */
import { describe, expect, test } from "bun:test"
import { run } from "./run.ts"

const testMs = 900_000

describe("each example does what it says", () => {
  test(
    "untrusted.ts",
    async () => {
      const { status, stderr, stdout } = await run("untrusted.ts")
      expect(stderr).toBe("")
      expect(stdout.trimEnd().split("\n")).toEqual([
        "does its work: status 0: 42",
        "never ends: killed when its time was up",
        expect.stringMatching(/^wants all processes: status 2: .*can't fork/),
        expect.stringMatching(/^wants all memory: status [1-9]\d*: .*out of memory/),
        expect.stringMatching(/^wants the network: status 0: .*there is none$/),
        "talks too much: cut off after 10000 characters"
      ])
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "matrix.ts",
    async () => {
      const { status, stderr, stdout } = await run("matrix.ts")
      const cells = stdout.split("\n").map((line) =>
        line
          .split("|")
          .map((cell) => cell.trim())
          .filter(Boolean)
      )
      expect({ stderr, cells }).toEqual({
        stderr: "",
        cells: [
          ["small", "large"],
          ["has two processors", "failed", "passed"],
          ["has room for 200 MiB", "failed", "passed"],
          []
        ]
      })
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "convert.ts",
    async () => {
      const { status, stderr, stdout } = await run("convert.ts")
      expect({ stderr, stdout }).toEqual({
        stderr: "",
        stdout: 'apples and quinces.csv.gz: "apples and quinces\\t18"\npears.csv.gz: "pears\\t5"\n'
      })
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "distro.ts",
    async () => {
      const { status, stderr, stdout } = await run("distro.ts")
      expect(stderr).toBe("")
      expect(stdout).toMatch(/^(debian|ubuntu) on ext\S+: 1\.9 comes first\n$/)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "systemd.ts",
    async () => {
      const { status, stderr, stdout } = await run("systemd.ts")
      expect({ stderr, stdout }).toEqual({ stderr: "", stdout: "running: PowerOff\n" })
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "machine-test.ts",
    async () => {
      const { status, stderr } = await run("machine-test.ts", "test")
      expect(stderr).toMatch(/^ 2 pass$/m)
      expect(status).toBe(0)
    },
    testMs
  )
})
