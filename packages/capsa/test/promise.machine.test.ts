/** The promise facade on real machines: what it is like with a hypervisor that holds processes, threads and descriptors. */
import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { givenBack, holdings, settled } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as capsa from "../src/promise.ts"
import { backendName, quick } from "./fixtures/realBackend.ts"

const testMs = 300_000
const config = { boot: quick, memory: 128, readyTimeout: "2 minutes" } as const satisfies capsa.VmConfig

const commandLines = (): ReadonlyArray<string> =>
  readdirSync("/proc").flatMap((entry) => {
    try {
      return [readFileSync(`/proc/${entry}/cmdline`, "utf8")]
    } catch {
      // No process, or one that is gone.
      return []
    }
  })

const condition = async (holds: () => boolean): Promise<void> => {
  const giveUpAt = performance.now() + 10_000
  while (!holds() && performance.now() < giveUpAt) await Bun.sleep(10)
  expect(holds()).toBe(true)
}

/** Reads the console until it has said this. */
const hearing = async (vm: capsa.Vm, what: string): Promise<void> => {
  let text = ""
  for await (const bytes of vm.console.output) {
    text += Buffer.from(bytes).toString()
    if (text.includes(what)) return
  }
  expect(text).toContain(what)
}

test(
  `a script's sandbox on ${backendName}`,
  async () => {
    await using sandbox = await capsa.sandbox(config, { backend: backendName })
    await sandbox.files.write("/tmp/words", "one\ntwo\n")
    async function* input() {
      yield Buffer.from("three\n")
      yield Buffer.from("four\n")
    }
    const result = await sandbox.exec(["cat", "/tmp/words", "-"], { stdin: input() })
    expect(result).toMatchObject({ stdout: "one\ntwo\nthree\nfour\n", exitCode: 0, truncated: false })

    const aborted = AbortSignal.timeout(500)
    const sleeping = sandbox.exec(["sleep", "1234"], { signal: aborted })
    expect(await sleeping.catch((reason: unknown) => reason)).toBe(aborted.reason)
    expect(await sandbox.exec("ps | grep '[s]leep 1234'")).toMatchObject({ exitCode: 1 })

    await using cat = await sandbox.spawn(["cat"], { stdin: true })
    await cat.write("hello")
    await cat.end()
    let heard = ""
    for await (const bytes of cat.stdout) heard += Buffer.from(bytes).toString()
    expect([heard, await cat.exit()]).toEqual(["hello", { exitCode: 0 }])
    expect(await sandbox.spawn(["no-such-program"]).catch((reason: unknown) => reason)).toMatchObject({
      _tag: "SandboxError",
      reason: "CannotStart"
    })
    expect(await sandbox.shutdown()).toEqual({ _tag: "PowerOff" })
  },
  testMs
)

describe(`a script's machine on ${backendName}`, () => {
  const round = async () => {
    await using vm = await capsa.launch(config, { backend: backendName })
    await vm.console.expect("capsa# ")
    const reading = hearing(vm, "answer=42")
    await vm.console.writeLine("echo answer=$((40+2))")
    await reading
    expect((await vm.stages()).map(({ name }) => name)).toContain("init")
    return vm
  }

  test(
    "is gone at the end of its block, the backend with it",
    async () => {
      // What the first one brings along stays.
      await round()
      const before = await Effect.runPromise(settled)
      const vm = await round()
      expect(await vm.wait()).toEqual({ _tag: "Killed" })
      await Effect.runPromise(givenBack(before))
    },
    testMs
  )

  test(
    "whose launch is aborted leaves nothing",
    async () => {
      await round()
      const before = await Effect.runPromise(settled)
      const controller = new AbortController()
      const launching = capsa.launch(config, { backend: backendName, signal: controller.signal })
      const rejected = launching.catch((reason: unknown) => reason)
      await condition(() => JSON.stringify(holdings()) !== JSON.stringify(before))
      controller.abort("enough")
      expect(await rejected).toBe("enough")
      await Effect.runPromise(givenBack(before))
    },
    testMs
  )

  test(
    "does not outlive a script that throws",
    async () => {
      const script = join(import.meta.dir, "fixtures/throwingScript.ts")
      const argv = [process.execPath, script, backendName, JSON.stringify(config)]
      const child = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe" })
      const [id, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
      expect(stderr).toContain("a fault of the script")
      expect(id).toMatch(/^[0-9a-f-]{36}$/)
      expect(status).toBe(1)
      await condition(() => !commandLines().some((line) => line.includes(id)))
    },
    testMs
  )
})
