/** The examples run, on whichever backend CAPSA_TEST_BACKEND names, and the pages that show them show them as they are. */
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { run } from "./run.ts"

/** Some boot half a dozen machines, one after the other, also in the lab. */
const testMs = 900_000

describe("each example is shown as it is", () => {
  for (const [page, example] of [
    ["README.md", "hello-script.ts"],
    ["README.md", "hello-effect.ts"],
    ["docs/CONSOLE.md", "console.ts"],
    ["docs/CONSOLE.md", "systemd.ts"],
    ["docs/POOL.md", "pool.ts"],
    ["docs/SANDBOX.md", "sandbox.ts"],
    ["docs/VSOCK.md", "vsock.ts"],
    ["docs/OBSERVABILITY.md", "telemetry.ts"]
  ] as const) {
    test(`${example} in ${page}`, async () => {
      const text = await Bun.file(join(import.meta.dir, "../..", page)).text()
      const [, shown] = text.split(`\`docs/examples/${example}\`:\n\n\`\`\`ts\n`)
      expect(shown?.split("```")[0]).toBe(await Bun.file(join(import.meta.dir, example)).text())
    })
  }
})

describe("each example does what it says", () => {
  test(
    "hello-script.ts",
    async () => {
      const { status, stdout } = await run("hello-script.ts")
      expect(stdout).toMatch(/^2 processors on (KVM|QEMU .*): PowerOff\n$/)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "hello-effect.ts",
    async () => {
      const { status, stdout } = await run("hello-effect.ts")
      expect(stdout).toMatch(/2 processors on (KVM|QEMU .*): PowerOff/)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "pool.ts",
    async () => {
      const { status, stdout } = await run("pool.ts")
      expect(stdout).toMatch(/2, 42, 303, by 3 machines/)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "sandbox.ts",
    async () => {
      const { status, stderr, stdout } = await run("sandbox.ts")
      expect({ stderr, stdout }).toEqual({ stderr: "", stdout: "42, status 3, whole: PowerOff\n" })
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "console.ts",
    async () => {
      const { status, stderr, stdout } = await run("console.ts")
      expect(stderr).toBe("")
      // The kernel may have put in a word.
      expect(stdout).toMatch(/^2\b.* lines, status 0; The time was up while waiting for the end .*sleep 1000".; eg\n$/s)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "telemetry.ts",
    async () => {
      const { status, stdout } = await run("telemetry.ts")
      expect(stdout).toMatch(/^capsa_vm_exits_total\{vm_backend="(kvm|qemu)",vm_exit="PowerOff",.*\} 1\n$/)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "demo.ts",
    async () => {
      const { status, stderr, stdout } = await run("demo.ts")
      expect(stderr).toBe("")
      expect(stdout).toMatch(/^backend {2}(KVM|QEMU .*)$/m)
      expect(stdout).toMatch(/^kernel {3}Linux \d+\.\d+\S*$/m)
      expect(stdout).toMatch(/^init runs +[\d.]+ m?s /m)
      expect(stdout).toMatch(/^Linux \S+ .* x86_64 GNU\/Linux$/m)
      expect(stdout).toEndWith("ended    PowerOff\n")
      expect(status).toBe(0)
    },
    testMs
  )
})
