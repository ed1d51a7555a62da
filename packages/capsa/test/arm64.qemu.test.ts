/** Guests of arm64 on a host of whatever architecture, on QEMU, which emulates the processor. */
import { expect } from "bun:test"
import { type Backend, ConsoleError, type VmConfig } from "@capsa/core"
import { Architecture, GuestImages } from "@capsa/guest"
import { Qemu } from "@capsa/qemu"
import { live } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Sandbox from "../src/Sandbox.ts"
import * as Vm from "../src/Vm.ts"

const backend = Qemu.layer({ architecture: "arm64" })
/** Building it may take longer than a test may. */
const guest = GuestImages.debian.pipe(
  Effect.provideService(Architecture.Target, "arm64"),
  Effect.provide(BunContext.layer)
)
/** What this host does not have, if that is why nothing can run. */
const lack = await Effect.runPromise(
  Effect.zipRight(Layer.build(backend), guest).pipe(
    Effect.scoped,
    Effect.as(undefined),
    Effect.catchIf(
      ({ reason }) => reason === "ProgramMissing" || reason === "ToolMissing",
      ({ message }) => Effect.succeed(message)
    )
  )
)

/** Emulators are slow: a boot takes half a minute on a busy host. */
const timeout = "4 minutes"
const prompt = "capsa# "
/** The built-in guest that fits, also where the tiny one has been built. */
const config = { memory: "256MiB" } as const satisfies VmConfig

const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

const test = (name: string, body: Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
  live.skipIf(lack !== undefined)(
    lack === undefined ? name : `${name} — skipped: ${lack}`,
    () => body.pipe(Effect.tapError(showConsole), Effect.provide(backend)),
    900_000
  )

const booted = Effect.tap(Vm.launch({ ...config, cpus: 2 }), (vm) => vm.console.expect(prompt, { timeout }))

test(
  "an arm64 guest boots, speaks on its serial port, and obeys the power button",
  Effect.gen(function* () {
    const vm = yield* booted
    expect(yield* vm.console.run("uname -m; nproc", { prompt, timeout })).toMatchObject({
      exitCode: 0,
      output: expect.stringMatching(/^aarch64\s+2\s*$/)
    })
    expect(Buffer.from(yield* vm.console.history).toString()).toContain("console=ttyAMA0")
    expect(yield* vm.stop({ grace: timeout })).toEqual({ _tag: "PowerOff" })
  })
)

for (const [command, exit] of [
  ["reboot -f", { _tag: "Reboot" }],
  ["echo c > /proc/sysrq-trigger", { _tag: "Panic", message: "sysrq triggered crash" }]
] as const) {
  test(
    `${command}: ${exit._tag}`,
    Effect.gen(function* () {
      const vm = yield* booted
      yield* vm.console.writeLine(command)
      expect(yield* Effect.timeout(vm.wait, timeout)).toEqual(exit)
    })
  )
}

test(
  "its agent runs programs",
  Effect.gen(function* () {
    const sandbox = yield* Sandbox.launch({ ...config, readyTimeout: timeout })
    const { exitCode, stdout } = yield* sandbox.exec(["uname", "-m"])
    expect({ exitCode, stdout }).toMatchObject({ exitCode: 0, stdout: "aarch64\n" })
  })
)
