/** From the call of a launch to a machine that is ready, or to nothing: on simulated machines and in virtual time. */
import { describe, expect, test } from "bun:test"
import type { VmBootErrorReason, VmConfig } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import * as Vm from "../src/Vm.ts"

const on =
  (options: Simulated.SimulatedOptions) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    body.pipe(Effect.provide(Simulated.layer(options)), Effect.provide(Logger.remove(Logger.defaultLogger)))

const alive = Effect.flatMap(Simulated.Machines, (machines) => machines.alive)

/** Launches and lets time pass; gives the failure. */
const failing = (config: VmConfig, time: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.gen(function* () {
    const launching = yield* Effect.fork(Effect.flip(Vm.launch(config)))
    yield* TestClock.adjust(time)
    const error = yield* Fiber.join(launching)
    // Nothing of it outlives the failure, though the scope around it is open.
    expect(yield* alive).toBe(0)
    return error
  })

const says =
  (...texts: ReadonlyArray<string>): Simulated.Script =>
  ({ print }) =>
    Effect.zipRight(Effect.forEach(texts, print), Effect.never)

const kernel = "[    0.000000] Linux version 6.1.0\r\n"
const announced = "[    0.9] Run /sbin/init as init process\r\n"

describe("without a readyTimeout", () => {
  effect("a launch succeeds when the first processor runs", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      expect(yield* vm.status).toEqual({ _tag: "Running" })
    }).pipe(on({ guest: () => Effect.never }))
  )
})

describe("with a readyTimeout", () => {
  const config = { readyTimeout: "30 seconds" } as const

  effect("a launch succeeds when the first process runs", () =>
    Effect.gen(function* () {
      const launching = yield* Effect.fork(Vm.launch(config))
      yield* TestClock.adjust("29 seconds")
      expect(yield* Fiber.poll(launching)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust(999)
      const vm = yield* Fiber.join(launching)
      expect((yield* vm.stages).at(-1)).toEqual({ name: "init", atMs: 29_999 })
      yield* TestClock.adjust("1 hour")
      expect(yield* vm.status).toEqual({ _tag: "Running" })
    }).pipe(
      on({
        beforeStage: () => Effect.sleep("3 seconds"),
        guest: Simulated.linuxWith({ kernelAfter: "10 seconds", initAfter: 10_999 })
      })
    )
  )

  effect("an init that says nothing counts as running 250 ms after the kernel has announced it", () =>
    Effect.gen(function* () {
      const launching = yield* Effect.fork(Vm.launch(config))
      yield* TestClock.adjust(249)
      expect(yield* Fiber.poll(launching)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust(1)
      expect(yield* (yield* Fiber.join(launching)).status).toEqual({ _tag: "Running" })
    }).pipe(on({ guest: says(kernel, announced) }))
  )

  const stages = [undefined, "created", "loaded", "started", "kernel"] as const
  for (const [index, stage] of stages.entries()) {
    const inBackend = index < 3
    const options: Simulated.SimulatedOptions = {
      beforeStage: (next) => (["created", "loaded", "started"].indexOf(next) === index ? Effect.never : Effect.void),
      guest: stage === "kernel" ? says(kernel) : () => Effect.never
    }
    effect(`a boot that gets no further than ${stage ?? "the call of the backend"} fails when the time is up`, () =>
      Effect.gen(function* () {
        const launching = yield* Effect.fork(Vm.launch(config))
        yield* TestClock.adjust(29_999)
        expect(yield* Fiber.poll(launching)).toMatchObject({ _tag: "None" })
        yield* Fiber.interrupt(launching)
        const error = yield* failing(config, "30 seconds")
        expect(error).toMatchObject({
          _tag: "VmBootError",
          reason: "Timeout",
          field: "readyTimeout",
          detail: "The machine was not ready within 30s."
        })
        // What a backend has reached it tells only when it is done.
        expect(error).toMatchObject(inBackend ? {} : { stage, consoleTail: stage === "kernel" ? kernel : "" })
        expect(error.hint.length).toBeGreaterThan(20)
      }).pipe(on(options))
    )
  }

  for (const [what, guest, reason, detail, hint] of [
    [
      "a kernel without a root file system",
      Simulated.linuxWith({ panic: "VFS: Unable to mount root fs on unknown-block(0,0)" }),
      "RootMissing",
      "The kernel found no root file system: VFS: Unable to mount root fs on unknown-block(0,0)",
      "boot.initrd"
    ],
    [
      "an init that the kernel announces and cannot run",
      ({ print }) =>
        print(`${announced}Kernel panic - not syncing: No working init found.\r\n`).pipe(
          Effect.zipRight(Effect.sleep(300)),
          Effect.as({ _tag: "Reboot" } as const)
        ),
      "InitFailed",
      "The root file system has no program to start",
      "/sbin/init"
    ],
    [
      "a guest that switches itself off",
      () => Effect.succeed({ _tag: "PowerOff" } as const),
      "GuestEnded",
      "The machine ended before it was ready: PowerOff",
      "console"
    ],
    [
      "a monitor that fails",
      () => Effect.succeed({ _tag: "Failed", detail: "out of paper" } as const),
      "HostFailure",
      "The machine ended before it was ready: Failed: out of paper",
      "capsa doctor"
    ]
  ] as const satisfies ReadonlyArray<readonly [string, Simulated.Script, VmBootErrorReason, string, string]>) {
    effect(`${what} fails before the time is up`, () =>
      Effect.gen(function* () {
        const error = yield* failing(config, "1 second")
        expect(error).toMatchObject({ _tag: "VmBootError", reason, detail })
        expect(error.hint).toContain(hint)
      }).pipe(on({ guest }))
    )
  }

  effect("a kernel that panics and stands still fails 2 seconds later, with the end of what it said", () =>
    Effect.gen(function* () {
      const long = "x".repeat(10_000)
      const last = "---[ end Kernel panic - not syncing: Attempted to kill init! ]---\r\n"
      const error = yield* failing(config, "3 seconds").pipe(
        on({ guest: says(long, "\nKernel panic - not syncing: Attempted to kill init!\n", last) })
      )
      expect(error).toMatchObject({ reason: "InitFailed", stage: "kernel" })
      if (error._tag !== "VmBootError") return
      expect(error.consoleTail).toEndWith(last)
      expect(error.consoleTail).toHaveLength(8192)
    })
  )

  effect("a maxLifetime that is shorter than the boot is named", () =>
    Effect.gen(function* () {
      const error = yield* failing({ ...config, maxLifetime: "1 second" }, "20 seconds")
      expect(error).toMatchObject({ reason: "GuestEnded", detail: expect.stringContaining("maxLifetime") })
    }).pipe(on({ guest: () => Effect.never }))
  )
})

describe("a launch that is interrupted, or whose scope closes, leaves nothing", () => {
  interface Case {
    /** Virtual time that each step of the boot takes. */
    readonly delays: ReadonlyArray<number>
    readonly exitMs: number
    readonly waits: boolean
    /** When it is interrupted: after this time and this number of turns. */
    readonly afterMs: number
    readonly turns: number
  }
  const cases: fc.Arbitrary<Case> = fc.record({
    delays: fc.array(fc.nat(8), { minLength: 5, maxLength: 5 }),
    exitMs: fc.nat(5),
    waits: fc.boolean(),
    afterMs: fc.nat(45),
    turns: fc.nat(60)
  })

  const leavesNothing = ({ afterMs, delays, exitMs, turns, waits }: Case) => {
    const [created = 0, loaded = 0, started = 0, kernelAfter = 0, initAfter = 0] = delays
    const options: Simulated.SimulatedOptions = {
      beforeStage: (stage) => Effect.sleep({ created, loaded, started }[stage]),
      beforeExit: () => Effect.sleep(exitMs),
      guest: Simulated.linuxWith({ kernelAfter, initAfter })
    }
    return Effect.gen(function* () {
      const fibers = yield* Supervisor.track
      const config: VmConfig = waits ? { readyTimeout: 35, maxLifetime: 40 } : {}
      const scope = yield* Scope.make()
      const launching = yield* Effect.fork(Effect.supervised(Scope.extend(Vm.launch(config), scope), fibers))
      yield* TestClock.adjust(afterMs)
      for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow()
      const interrupting = yield* Effect.fork(Fiber.interrupt(launching))
      yield* TestClock.adjust(exitMs)
      const outcome = yield* Fiber.join(interrupting)
      // What had come up before the interruption belongs to the scope; nothing else is left to it.
      expect(yield* alive).toBe(Exit.isSuccess(outcome) ? 1 : 0)
      if (Exit.isSuccess(outcome)) expect((yield* fibers.value).length).toBeGreaterThan(0)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(exitMs)
      yield* Fiber.join(closing)
      expect(yield* alive).toBe(0)
      for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow()
      expect((yield* fibers.value).length).toBe(0)
      return outcome
    }).pipe(on(options), Effect.provide(TestContext.TestContext))
  }

  test("at any time and turn of its boot", async () => {
    const seen = { cameUp: 0, interrupted: 0 }
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const outcome = await Effect.runPromise(leavesNothing(each))
        seen[Exit.isSuccess(outcome) ? "cameUp" : "interrupted"]++
      }),
      { numRuns: 200 }
    )
    // Some were early and some were late, or this shows little.
    expect(Math.min(seen.cameUp, seen.interrupted)).toBeGreaterThan(10)
  }, 120_000)
})
