/** The life of real machines: what interruptions, time limits and pauses do, on whichever backend. */
import { describe, expect } from "bun:test"
import { Backend, type Machine, type VmConfig } from "@capsa/core"
import { givenBack, live, settled } from "@capsa/testing"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick } from "./fixtures/realBackend.ts"

/** Emulators are slow, and emulators in emulators are slower still. */
const bootTime = "2 minutes"
const grace = "40 seconds"
const testMs = 300_000

const config = { boot: quick, memory: 128, readyTimeout: bootTime } as const satisfies VmConfig

const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>, skip = false) =>
  live.skipIf(skip)(
    name,
    () => body().pipe(Logger.withMinimumLogLevel(LogLevel.Error), Effect.provide(backend)),
    testMs
  )

/** What the first machine brings along stays; what the others bring must not. */
const baseline = Effect.zipRight(Effect.scoped(Vm.launch(config)), settled)

/** A backend that tells when a boot has come this far. */
const watched =
  (reached: (point: string) => Effect.Effect<unknown>) =>
  (real: Backend["Type"]): Backend["Type"] => ({
    ...real,
    boot: (plan) =>
      reached("called").pipe(
        Effect.zipRight(real.boot(plan)),
        Effect.tap(() => reached("started")),
        Effect.map((machine): Machine => ({ ...machine, console: telling(machine, reached) }))
      )
  })

const telling = (machine: Machine, reached: (point: string) => Effect.Effect<unknown>) => {
  let text = ""
  return Stream.tap(machine.console, (bytes) => {
    text += Buffer.from(bytes).toString("latin1")
    return Effect.zipRight(reached("kernel"), text.includes("capsa: init") ? reached("init") : Effect.void)
  })
}

describe(`a launch on ${backendName} that is interrupted leaves nothing`, () => {
  for (const point of ["called", "started", "kernel", "init"]) {
    test(`when it has come to "${point}"`, () =>
      Effect.gen(function* () {
        const before = yield* baseline
        const there = yield* Deferred.make<void>()
        const reached = (now: string) => (now === point ? Deferred.succeed(there, undefined) : Effect.void)
        const launching = yield* Effect.fork(
          Effect.scoped(Effect.zipRight(Vm.launch(config), Effect.never)).pipe(
            Effect.updateService(Backend, watched(reached))
          )
        )
        yield* Deferred.await(there)
        yield* Fiber.interrupt(launching)
        yield* givenBack(before)
      }))
  }

  test("at any time within the backend", () =>
    Effect.gen(function* () {
      const before = yield* baseline
      const [bootTime] = yield* Effect.scoped(Effect.timed(Vm.launch({ boot: quick, memory: 128 })))
      for (let part = 0; part < 10; part++) {
        const launching = yield* Effect.fork(Effect.scoped(Vm.launch(config)))
        yield* Effect.sleep((Duration.toMillis(bootTime) * part) / 10)
        yield* Fiber.interrupt(launching)
        yield* givenBack(before)
      }
    }))
})

describe(`readiness on ${backendName}`, () => {
  test("is the end of a launch that waits for it", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      expect((yield* vm.stages).map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
    }))

  test("not in time: a typed error, and nothing is left", () =>
    Effect.gen(function* () {
      const before = yield* baseline
      const error = yield* Effect.flip(Vm.launch({ ...config, readyTimeout: 1 }))
      expect(error).toMatchObject({ _tag: "VmBootError", reason: "Timeout" })
      yield* givenBack(before)
    }))

  test("never: the kernel's panic is told, and nothing is left", () =>
    Effect.gen(function* () {
      const before = yield* baseline
      const { initrd: _, ...rootless } = quick
      const error = yield* Effect.flip(Vm.launch({ ...config, boot: rootless }))
      expect(error).toMatchObject({ _tag: "VmBootError", reason: "RootMissing", stage: "kernel" })
      expect(error.message).toContain("VFS: Unable to mount root fs")
      expect(error.hint).toContain("boot.initrd")
      if (error._tag === "VmBootError") expect(error.consoleTail).toContain("Unable to mount root fs")
      yield* givenBack(before)
    }))
})

describe(`control on ${backendName}`, () => {
  const pauses = !capabilities.pause
  const why = pauses ? ` — skipped: ${backendName} cannot pause` : ""

  test(
    `kill ends a machine that was paused twice${why}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch(config)
        yield* vm.pause
        yield* vm.pause
        expect(yield* vm.status).toEqual({ _tag: "Paused" })
        expect(yield* vm.kill).toEqual({ _tag: "Killed" })
      }),
    pauses
  )

  test(
    `stop lets a paused machine obey the power button${why}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch(config)
        yield* vm.console.expect("capsa# ", { timeout: grace })
        yield* vm.pause
        const exits = yield* Effect.all([vm.stop({ grace }), vm.stop({ grace }), vm.wait], { concurrency: "unbounded" })
        expect(exits[0]).toEqual({ _tag: "PowerOff" })
        for (const exit of exits) expect(exit).toBe(exits[0])
      }),
    pauses || !capabilities.powerButton
  )

  test("a machine whose lifetime is over ends, and says why", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ boot: quick, memory: 128, maxLifetime: 100 })
      expect(yield* vm.wait).toEqual({ _tag: "Killed", reason: "LifetimeOver" })
      expect(yield* Effect.flip(vm.pause)).toMatchObject({ reason: "NotRunning" })
    }))
})
