/** `capsa run` on real machines: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default). */
import { describe, expect, test } from "bun:test"
import { RunReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import { Logging } from "capsa"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { argv, capsa, told } from "./capsa.ts"
import { inTerminal, type Reaction } from "./terminal.ts"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
const quick = ["run", "--backend", backend, "--kernel", tiny.bzImage, "--initrd", tiny.initrd, "--memory", "128MiB"]

/** Emulators in emulators are slow. */
const testMs = 300_000

const reportOf = (stdout: string) => Schema.decodeUnknownSync(Schema.parseJson(RunReport))(stdout)

describe("capsa run", () => {
  test(
    "logs what CAPSA_LOG asks for: each line of a machine says which, and in what launch",
    async () => {
      const asked = { CAPSA_LOG: "warn,vm=debug", CAPSA_LOG_FORMAT: "json" }
      const { stderr } = await capsa([...quick, "--name", "logged"], "poweroff -f\n", asked)
      const decode = Schema.decodeUnknownSync(Schema.parseJson(Logging.MachineLogLine))
      const lines = stderr
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => decode(line))
      expect(lines.map(({ message }) => message.replace(/ after.*/, ""))).toEqual([
        "machine started",
        ...["created", "loaded", "started", "kernel", "init"].map((stage) => `reached ${stage}`),
        "machine ended: PowerOff"
      ])
      for (const line of lines)
        expect(line).toMatchObject({ component: "vm", "vm.name": "logged", "vm.backend": backend })
      expect(new Set(lines.map((line) => `${line["vm.id"]} ${line["correlation.id"]}`)).size).toBe(1)
    },
    testMs
  )

  test(
    "boots the built-in guest, types what is piped in, shows what it says, and exits with 0",
    async () => {
      const finished = await capsa(["run", "--backend", backend, "--timing"], "uname -a\npoweroff -f\n")
      expect(finished.stdout).toMatch(/^Linux .+ x86_64 GNU\/Linux\r$/m)
      expect(finished.stdout).toContain("Linux version ")
      const stages = told(finished).map((line) => line.replace(/ +\d.*/, ""))
      expect(stages).toEqual([
        "machine created",
        "kernel loaded",
        "first instruction",
        "kernel's first word",
        "init runs"
      ])
      expect(finished.status).toBe(0)
    },
    testMs
  )

  test(
    "--json keeps stdout for the result",
    async () => {
      const { status, stdout, stderr } = await capsa([...quick, "--name", "j1", "--json"], "reboot -f\n")
      const report = reportOf(stdout)
      expect(report).toMatchObject({ name: "j1", backend: { name: backend }, exit: { _tag: "Reboot" }, outputLost: 0 })
      expect(report.error).toBeUndefined()
      expect(report.stages.map(({ name }) => name)).toContain("init")
      expect(stderr).toContain("capsa: init")
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "a panic is told with the kernel's words, and exits with 1",
    async () => {
      const finished = await capsa(["run", "--backend", backend, "--kernel", tiny.bzImage, "--memory", "128MiB"])
      const [what, fix, ...rest] = told(finished)
      expect(what).toContain("panicked: VFS: Unable to mount root fs")
      expect(fix).toStartWith("→ ")
      expect(rest).toEqual([])
      expect(finished.status).toBe(1)
    },
    testMs
  )

  test(
    "--timeout kills it and exits with 124",
    async () => {
      const { status, stdout } = await capsa([...quick, "--timeout", "300ms", "--json"])
      expect(reportOf(stdout)).toMatchObject({ exit: { _tag: "Killed" }, error: { reason: "Timeout" } })
      expect(status).toBe(124)
    },
    testMs
  )

  test(
    "ends quietly when nobody reads its output any more",
    async () => {
      const child = Bun.spawn(argv(...quick), { stdin: "ignore", stdout: "pipe", stderr: "pipe" })
      const reader = child.stdout.getReader()
      await reader.read()
      await reader.cancel()
      const [stderr, status] = await Promise.all([child.stderr.text(), child.exited])
      expect(told({ stderr, stdout: "", status })).toEqual([])
      expect(status).toBe(141)
    },
    testMs
  )

  test(
    "SIGINT ends machine and program",
    async () => {
      const child = Bun.spawn(argv(...quick), { stdin: "ignore", stdout: "pipe", stderr: "ignore" })
      await child.stdout.getReader().read()
      child.kill("SIGINT")
      expect(await child.exited).toBe(130)
    },
    testMs
  )
})

describe("capsa run in a terminal", () => {
  const atPrompt = /capsa# /
  const cases: ReadonlyArray<readonly [name: string, status: number, reactions: ReadonlyArray<Reaction>]> = [
    [
      "types every key, Ctrl-C too, and Ctrl-] leaves",
      0,
      [
        [atPrompt, "echo $((40+2)); cat\r"],
        [/\n42\s/, "meow\r"],
        [/meow\s+meow\s/, "\u0003"],
        [atPrompt, "\u001d"]
      ]
    ],
    ["ends when the guest switches itself off", 0, [[atPrompt, "poweroff -f\r"]]],
    ["ends by SIGTERM", 143, [[atPrompt, { signal: "SIGTERM" }]]],
    ["ends by SIGHUP", 129, [[atPrompt, { signal: "SIGHUP" }]]]
  ]
  for (const [name, status, reactions] of cases) {
    test(
      `${name}; the terminal is as before`,
      async () => {
        const seen = await inTerminal(quick, reactions)
        expect(seen.status).toBe(status)
        expect(seen.during).not.toContain(seen.before)
        expect(seen.after).toBe(seen.before)
      },
      testMs
    )
  }

  test(
    "the terminal is as before when the time is over",
    async () => {
      const seen = await inTerminal([...quick, "--timeout", "500ms"], [[/leaves and ends/, ""]])
      expect(seen).toMatchObject({ status: 124, after: seen.before })
    },
    testMs
  )
})
