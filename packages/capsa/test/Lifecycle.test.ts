/** From a machine that runs to its end, on simulated machines and in virtual time. */
import { describe, expect, test } from "bun:test"
import { MachineError, type VmExit, type VmStatus } from "@capsa/core"
import { mayFollow } from "@capsa/core/VmStatus"
import { effect, Simulated } from "@capsa/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import type * as Machine from "../src/Vm.ts"
import * as Vm from "../src/Vm.ts"

const powerOff: VmExit = { _tag: "PowerOff" }
const killed: VmExit = { _tag: "Killed" }
const lifetimeOver: VmExit = { _tag: "Killed", reason: "LifetimeOver" }

const on =
  (options: Simulated.SimulatedOptions, logger: Logger.Logger<unknown, unknown> = Logger.none) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    body.pipe(Effect.provide(Simulated.layer(options)), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))

const never: Simulated.Script = () => Effect.never
const obeying = Simulated.linux
const deaf = Simulated.linuxWith({ powerOffAfter: "never" })
const refusal = new MachineError({ reason: "HostFailure", detail: "No.", hint: "Ask again." })

/** Runs something on the side, with the fibers of the machine having had their turn. */
const begun = <A, E, R>(act: Effect.Effect<A, E, R>) => Effect.tap(Effect.fork(act), TestClock.adjust(0))

/** Counts how often a machine is told something. */
const counting = () => {
  const counts = { powerOff: 0, pause: 0, resume: 0 }
  const beforeOperation = (operation: Simulated.SimulatedOperation) => Effect.sync(() => void counts[operation]++)
  return { counts, beforeOperation }
}

describe("pause and resume", () => {
  effect("twice is once", () => {
    const { beforeOperation, counts } = counting()
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* Effect.all([vm.pause, vm.pause, vm.pause], { concurrency: "unbounded" })
      expect(yield* vm.status).toEqual({ _tag: "Paused" })
      yield* Effect.all([vm.resume, vm.resume], { concurrency: "unbounded" })
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      expect(counts).toEqual({ powerOff: 0, pause: 1, resume: 1 })
    }).pipe(on({ guest: never, beforeOperation }))
  })

  effect("fail on a machine that is stopping", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* begun(vm.stop())
      expect(yield* vm.status).toEqual({ _tag: "Stopping" })
      for (const act of [vm.pause, vm.resume]) {
        expect(yield* Effect.flip(act)).toMatchObject({ _tag: "MachineError", reason: "NotRunning" })
      }
    }).pipe(on({ guest: deaf }))
  )

  effect("that the backend refuses change nothing", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      expect(yield* Effect.flip(vm.pause)).toMatchObject({ reason: "HostFailure", detail: "No." })
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      expect(yield* vm.kill).toEqual(killed)
    }).pipe(on({ guest: never, beforeOperation: () => refusal }))
  )

  effect("are carried through when the caller gives up, so that the status stays true", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const pausing = yield* begun(vm.pause)
      yield* Fiber.interrupt(pausing)
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      yield* TestClock.adjust("1 second")
      expect(yield* vm.status).toEqual({ _tag: "Paused" })
    }).pipe(on({ guest: never, beforeOperation: () => Effect.sleep("1 second") }))
  )

  effect("come one after the other", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const both = yield* begun(Effect.all([vm.pause, vm.resume], { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 second")
      expect(yield* vm.status).toEqual({ _tag: "Paused" })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(both)
      expect(yield* vm.status).toEqual({ _tag: "Running" })
    }).pipe(on({ guest: never, beforeOperation: () => Effect.sleep("1 second") }))
  )
})

describe("kill", () => {
  effect("ends a paused machine", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* vm.pause
      expect(yield* vm.kill).toEqual(killed)
    }).pipe(on({ guest: never }))
  )

  effect("waits for no operation that hangs, and ends it", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const pausing = yield* begun(Effect.flip(vm.pause))
      expect(yield* vm.kill).toEqual(killed)
      expect(yield* Fiber.join(pausing)).toMatchObject({ reason: "NotRunning" })
    }).pipe(on({ guest: never, beforeOperation: () => Effect.never }))
  )

  effect("waits for no guest that cannot be interrupted, and for no reader of its console", () => {
    const gate = Deferred.unsafeMake<void>(Fiber.id(Fiber.void))
    const stubborn: Simulated.Script = ({ print }) =>
      Effect.uninterruptible(Effect.zipRight(print("x".repeat(100_000)), Effect.as(Deferred.await(gate), powerOff)))
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const reading = yield* begun(Stream.runForEach(vm.console.output, () => Effect.never))
      expect(yield* vm.kill).toEqual(killed)
      yield* Fiber.interrupt(reading)
      yield* Deferred.succeed(gate, undefined)
    }).pipe(on({ guest: stubborn }))
  })

  effect("from many callers, with a stop under way, tells all the same", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const stopping = yield* begun(vm.stop())
      const exits = yield* Effect.all([vm.kill, vm.kill, vm.wait, Fiber.join(stopping)], { concurrency: "unbounded" })
      for (const exit of exits) expect(exit).toBe(exits[0])
    }).pipe(on({ guest: deaf }))
  )

  effect("is under way until the backend has reported the end", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const killing = yield* begun(vm.kill)
      expect(yield* vm.status).toEqual({ _tag: "Stopping" })
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(killing)).toEqual(killed)
    }).pipe(on({ guest: never, beforeExit: () => Effect.sleep("1 second") }))
  )
})

describe("stop", () => {
  effect("presses the button once for all callers", () => {
    const { beforeOperation, counts } = counting()
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const all = yield* begun(
        Effect.all(
          Array.from({ length: 20 }, () => vm.stop()),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("1 second")
      const exits = yield* Fiber.join(all)
      for (const exit of [...exits, yield* vm.stop()]) expect(exit).toBe(exits[0] ?? killed)
      expect(exits[0]).toEqual(powerOff)
      expect(counts.powerOff).toBe(1)
    }).pipe(on({ guest: Simulated.linuxWith({ powerOffAfter: "1 second" }), beforeOperation }))
  })

  effect("keeps its word when the caller gives up: the machine ends", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* Fiber.interrupt(yield* begun(vm.stop({ grace: "1 minute" })))
      yield* TestClock.adjust("59 seconds")
      expect(yield* vm.status).toEqual({ _tag: "Stopping" })
      yield* TestClock.adjust("1 second")
      expect(yield* vm.wait).toEqual(killed)
    }).pipe(on({ guest: deaf }))
  )

  effect("with the shorter grace of two callers", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const patient = yield* begun(vm.stop({ grace: "1 hour" }))
      const hasty = yield* begun(vm.stop({ grace: "1 second" }))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(hasty)).toEqual(killed)
      expect(yield* Fiber.join(patient)).toEqual(killed)
    }).pipe(on({ guest: deaf }))
  )

  effect("kills at once where the button is out of order", () =>
    Effect.gen(function* () {
      expect(yield* (yield* Vm.launch({})).stop()).toEqual(killed)
    }).pipe(on({ guest: obeying, beforeOperation: () => refusal }))
  )

  effect("kills after the grace period where the button hangs", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const stopping = yield* begun(vm.stop())
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(stopping)).toEqual(killed)
    }).pipe(on({ guest: obeying, beforeOperation: () => Effect.never }))
  )

  effect("kills after the grace period in a finalizer too", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const vm = yield* Scope.extend(Vm.launch({}), scope)
      yield* Scope.addFinalizer(scope, vm.stop({ grace: "1 second" }))
      const closing = yield* begun(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      expect(yield* vm.status).toEqual({ _tag: "Ended", exit: killed })
    }).pipe(on({ guest: deaf }))
  )
})

describe("maxLifetime", () => {
  const config = { maxLifetime: "1 hour" } as const

  const logging = () => {
    const lines: Array<string> = []
    return { lines, logger: Logger.make(({ message }) => void lines.push(String(message))) }
  }

  effect("stops the machine, says so, and shows in its exit", () => {
    const { lines, logger } = logging()
    return Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      yield* TestClock.adjust("59 minutes")
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      yield* TestClock.adjust("1 minute")
      expect(yield* vm.wait).toEqual(lifetimeOver)
      expect(lines).toContain("the machine has lived for 1h, its maxLifetime: stopping it")
    }).pipe(on({ guest: obeying }, logger))
  })

  effect("gives a guest that does not obey the usual grace period", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      yield* TestClock.adjust("1 hour")
      expect(yield* vm.status).toEqual({ _tag: "Stopping" })
      yield* TestClock.adjust("10 seconds")
      expect(yield* vm.wait).toEqual(lifetimeOver)
    }).pipe(on({ guest: deaf }))
  )

  effect("goes on while the machine is paused", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      yield* vm.pause
      yield* TestClock.adjust("1 hour")
      expect(yield* vm.wait).toEqual(lifetimeOver)
    }).pipe(on({ guest: obeying }))
  )

  effect("does not hide a panic", () => {
    const panicking: Simulated.Script = ({ powerButton, print }) =>
      powerButton.pipe(
        Effect.zipRight(print("Kernel panic - not syncing: no way\n")),
        Effect.as({ _tag: "Reboot" } as const)
      )
    return Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      yield* TestClock.adjust("1 hour")
      expect(yield* vm.wait).toEqual({ _tag: "Panic", message: "no way" })
    }).pipe(on({ guest: panicking }))
  })

  effect("is nothing to a machine that ends before", () => {
    const { lines, logger } = logging()
    return Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      yield* vm.stop()
      yield* TestClock.adjust("2 hours")
      expect(yield* vm.wait).toEqual(powerOff)
      expect(lines.filter((line) => line.includes("maxLifetime"))).toEqual([])
    }).pipe(on({ guest: obeying }, logger))
  })
})

describe("the status", () => {
  type Step = "pause" | "resume" | "stop" | "kill" | "time passes"
  interface Act {
    readonly step: Step
    /** The caller gives up at once. */
    readonly interrupted: boolean
  }
  const acts: fc.Arbitrary<ReadonlyArray<Act>> = fc.array(
    fc.record({
      // Mostly what does not end it, or nothing would be left to look at.
      step: fc.oneof(
        { weight: 12, arbitrary: fc.constantFrom<Step>("pause", "resume", "time passes") },
        { weight: 1, arbitrary: fc.constantFrom<Step>("stop", "kill") }
      ),
      interrupted: fc.boolean()
    }),
    { maxLength: 12 }
  )

  const run = (vm: Machine.Vm, { interrupted, step }: Act): Effect.Effect<unknown> => {
    if (step === "time passes") return TestClock.adjust(3)
    const act = Effect.ignore(step === "stop" ? vm.stop({ grace: 20 }) : vm[step])
    return Effect.flatMap(begun(Effect.forkDaemon(act)), (outer) =>
      interrupted ? Effect.flatMap(Fiber.join(outer), Fiber.interrupt) : Effect.void
    )
  }

  const holds = (steps: ReadonlyArray<Act>, operationMs: number, obeys: boolean) => {
    let paused = false
    const beforeOperation = (operation: Simulated.SimulatedOperation) =>
      Effect.as(Effect.sleep(operationMs), undefined).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            paused = operation === "pause"
          })
        )
      )
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const watching = yield* begun(Stream.runCollect(vm.statusChanges))
      const slow = yield* begun(Stream.runLast(Stream.tap(vm.statusChanges, () => Effect.sleep(7))))
      for (const step of steps) yield* run(vm, step)
      yield* TestClock.adjust("1 minute")
      const { _tag } = yield* vm.status
      if (_tag !== "Ended") expect(_tag).toBe(paused ? "Paused" : "Running")
      if (steps.some(({ step }) => step === "stop" || step === "kill")) expect(_tag).toBe("Ended")
      const exit = yield* vm.kill
      yield* TestClock.adjust("1 minute")
      const last: VmStatus = { _tag: "Ended", exit }
      const seen = [...(yield* Fiber.join(watching))]
      expect(seen[0]).toEqual({ _tag: "Running" })
      expect(seen.at(-1)).toEqual(last)
      for (const [index, { _tag }] of seen.slice(1).entries()) {
        expect(mayFollow(seen[index]?._tag ?? "Ended", _tag)).toBe(true)
      }
      expect(yield* Fiber.join(slow)).toEqual(Option.some(last))
      expect([...(yield* Stream.runCollect(vm.statusChanges))]).toEqual([last])
    }).pipe(
      on({ guest: obeys ? obeying : deaf, beforeOperation }),
      Effect.scoped,
      Effect.provide(TestContext.TestContext)
    )
  }

  test(
    "is true, follows the table and ends, whoever does what at the same time",
    () =>
      fc.assert(
        fc.asyncProperty(acts, fc.nat(10), fc.boolean(), (steps, operationMs, obeys) =>
          Effect.runPromise(holds(steps, operationMs, obeys))
        ),
        { numRuns: 60 }
      ),
    120_000
  )
})
