import { describe, expect } from "bun:test"
import { BackendError, type BootPlan, VmBootError, type VmExit } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Vm } from "../src/Vm.ts"
import * as VmPool from "../src/VmPool.ts"

const never: Simulated.Script = () => Effect.never
const silent = Effect.provide(Logger.remove(Logger.defaultLogger))

/** Runs a test body against simulated machines. */
const on =
  (options: Simulated.SimulatedOptions = {}) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    body.pipe(Effect.provide(Simulated.layer({ guest: never, ...options })), silent)

const alive = Effect.flatMap(Simulated.Machines, (machines) => machines.alive)
const begun = Effect.flatMap(Simulated.Machines, (machines) => machines.begun)

/** Lets everything happen that needs no time. */
const settle = TestClock.adjust(0)

/** A scope that the test closes when it wants. */
const inItsOwnScope = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const value = yield* Scope.extend(effect, scope)
    return [value, Effect.zipRight(Scope.close(scope, Exit.void), settle)] as const
  })

const shortage = new VmBootError({ reason: "HostResources", detail: "No room.", hint: "Close something." })
const guestEnded = new VmBootError({ reason: "GuestEnded", detail: "It ended.", hint: "Read its console." })
const badKernel = new VmBootError({ reason: "KernelInvalid", detail: "No kernel.", hint: "Name another." })

/** A hook that fails launches as long as the switch is on. */
const faulty = (error: VmBootError, isBroken = true) => {
  const state = { isBroken }
  const beforeStage = () => (state.isBroken ? Effect.fail(error) : Effect.void)
  return { state, beforeStage }
}

describe("VmPool: size", () => {
  effect("keeps min, grows to max on demand, and not beyond", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, min: 2, max: 4 })
      yield* settle
      expect(yield* pool.stats).toMatchObject({ size: 2, idle: 2, hits: 0, misses: 0 })
      const first = yield* pool.acquire
      expect(yield* pool.stats).toMatchObject({ size: 2, idle: 1, inUse: 1, hits: 1 })
      yield* pool.acquire
      yield* pool.acquire
      yield* pool.acquire
      expect(yield* pool.stats).toMatchObject({ size: 4, inUse: 4, hits: 2, misses: 2 })
      const fifth = yield* Effect.fork(Effect.scoped(pool.acquire))
      yield* settle
      expect(yield* pool.stats).toMatchObject({ size: 4, inUse: 4, waiting: 1 })
      expect(yield* alive).toBe(4)
      yield* first.kill
      yield* settle
      expect((yield* pool.stats).waiting).toBe(1)
      yield* Fiber.interrupt(fifth)
    }).pipe(on())
  )

  effect("with min 0 it launches nothing before it is asked", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 4 })
      yield* settle
      expect(yield* begun).toBe(0)
      expect(yield* pool.tryAcquire).toEqual(Option.none())
      expect(yield* begun).toBe(0)
      yield* pool.acquire
      expect(yield* begun).toBe(1)
      expect(yield* pool.stats).toMatchObject({ misses: 2, waits: { count: 1 }, spawns: { count: 1 } })
    }).pipe(on())
  )

  const endsIn10s: Simulated.SimulatedOptions = { beforeExit: () => Effect.sleep("10 seconds") }

  effect("a machine that is being destroyed counts until it is gone", () => {
    return Effect.gen(function* () {
      const [pool, close] = yield* inItsOwnScope(VmPool.make({ config: {}, max: 1 }))
      const [one, release] = yield* inItsOwnScope(pool.acquire)
      yield* release
      const next = yield* Effect.fork(pool.acquire)
      yield* TestClock.adjust("9 seconds")
      expect(yield* pool.stats).toMatchObject({ size: 1, retiring: 1, waiting: 1 })
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(next)).id).not.toBe(one.id)
      expect(yield* alive).toBe(1)
      yield* Effect.zip(close, TestClock.adjust("10 seconds"), { concurrent: true })
    }).pipe(on(endsIn10s))
  })

  effect("what must be kept is replaced while it is being destroyed, if there is room", () => {
    return Effect.gen(function* () {
      const [pool, close] = yield* inItsOwnScope(VmPool.make({ config: {}, min: 1, max: 2 }))
      const [, release] = yield* inItsOwnScope(pool.acquire)
      yield* release
      expect(yield* pool.stats).toMatchObject({ size: 2, retiring: 1, idle: 1 })
      yield* Effect.zip(close, TestClock.adjust("10 seconds"), { concurrent: true })
    }).pipe(on(endsIn10s))
  })

  effect("destroys what is idle too long, down to min", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({
        config: {},
        min: 1,
        max: 4,
        idleTimeToLive: "1 minute",
        reset: () => Effect.void
      })
      const [, release] = yield* inItsOwnScope(Effect.all([pool.acquire, pool.acquire, pool.acquire]))
      yield* release
      expect(yield* pool.stats).toMatchObject({ size: 3, idle: 3 })
      yield* TestClock.adjust("59 seconds")
      expect((yield* pool.stats).size).toBe(3)
      yield* TestClock.adjust("1 second")
      expect(yield* pool.stats).toMatchObject({ size: 1, idle: 1 })
      expect(yield* alive).toBe(1)
      yield* TestClock.adjust("1 hour")
      expect(yield* begun).toBe(3)
    }).pipe(on())
  )

  for (const [field, options] of [
    ["max", { max: 0 }],
    ["max", { max: 1.5 }],
    ["max", { max: Number.POSITIVE_INFINITY }],
    ["min", { min: -1, max: 1 }],
    ["min", { min: 3, max: 2 }],
    ["idleTimeToLive", JSON.parse('{ "max": 1, "idleTimeToLive": "soon" }')]
  ] as const) {
    effect(`refuses ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(VmPool.make({ config: {}, ...options }))
        expect(error).toMatchObject({ _tag: "PoolError", reason: "Invalid", field, retryable: false })
        expect(error.hint).not.toBe("")
      }).pipe(on())
    )
  }

  effect("refuses a malformed configuration before anything is launched", () =>
    Effect.gen(function* () {
      const config = { cpus: 1, disk: "a" }
      const error = yield* Effect.flip(VmPool.make({ config, min: 1, max: 1 }))
      expect(error).toMatchObject({ _tag: "VmConfigError", reason: "Malformed" })
      expect(yield* begun).toBe(0)
    }).pipe(on())
  )
})

describe("VmPool: use", () => {
  effect("a machine is used once", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, min: 1, max: 1 })
      const ids = new Set<string>()
      for (let round = 0; round < 5; round++) {
        const [vm, release] = yield* inItsOwnScope(pool.acquire)
        ids.add(vm.id)
        yield* release
        expect(yield* vm.status).toEqual({ _tag: "Ended", exit: { _tag: "Killed" } })
      }
      expect(ids.size).toBe(5)
      expect(yield* alive).toBe(1)
    }).pipe(on())
  )

  effect("a machine that could be reset is used again, one that could not is destroyed", () => {
    let isClean = true
    return Effect.gen(function* () {
      const reset = () => (isClean ? Effect.sleep("1 second") : Effect.fail("dirty"))
      const pool = yield* VmPool.make({ config: {}, max: 1, reset })
      const [first, release] = yield* inItsOwnScope(pool.acquire)
      yield* release
      expect(yield* pool.stats).toMatchObject({ resetting: 1, idle: 0 })
      yield* TestClock.adjust("1 second")
      expect(yield* pool.stats).toMatchObject({ resetting: 0, idle: 1 })
      const [again, releaseAgain] = yield* inItsOwnScope(pool.acquire)
      expect(again.id).toBe(first.id)
      isClean = false
      yield* releaseAgain
      expect(yield* pool.stats).toMatchObject({ size: 0, launchFailures: 0 })
      expect(yield* alive).toBe(0)
      expect((yield* pool.acquire).id).not.toBe(first.id)
    }).pipe(on())
  })

  for (const [what, reset] of [
    ["hangs", () => Effect.never],
    ["throws", () => Effect.dieMessage("reset threw")]
  ] as const) {
    effect(`a reset that ${what} costs its machine and nothing else`, () =>
      Effect.gen(function* () {
        const pool = yield* VmPool.make({ config: {}, max: 1, reset, readyTimeout: "1 minute" })
        const [first, release] = yield* inItsOwnScope(pool.acquire)
        yield* release
        const next = yield* Effect.fork(pool.acquire)
        yield* TestClock.adjust("1 minute")
        expect((yield* Fiber.join(next)).id).not.toBe(first.id)
      }).pipe(on())
    )
  }

  effect("a machine that its user ended is not reset", () =>
    Effect.gen(function* () {
      let resets = 0
      const reset = () => Effect.sync(() => resets++)
      const pool = yield* VmPool.make({ config: {}, max: 1, reset })
      const [first, release] = yield* inItsOwnScope(pool.acquire)
      yield* first.kill
      yield* release
      expect(resets).toBe(0)
      expect((yield* pool.acquire).id).not.toBe(first.id)
    }).pipe(on())
  )

  effect("a machine that ends while it is idle is replaced", () =>
    Effect.gen(function* () {
      let idle: Vm | undefined
      const ready = (vm: Vm) => Effect.sync(() => (idle = vm))
      const pool = yield* VmPool.make({ config: {}, min: 1, max: 1, ready })
      yield* TestClock.adjust("1 minute")
      const before = idle
      yield* before?.kill ?? Effect.void
      yield* settle
      const after = yield* pool.acquire
      expect(after.id).not.toBe(before?.id ?? "")
      expect(yield* after.status).toEqual({ _tag: "Running" })
      expect(yield* pool.stats).toMatchObject({ hits: 1, launchFailures: 0 })
    }).pipe(on())
  )

  effect("nobody gets a machine that has just ended", () =>
    Effect.gen(function* () {
      const idle: Array<Vm> = []
      const ready = (vm: Vm) => Effect.sync(() => idle.push(vm))
      const pool = yield* VmPool.make({ config: {}, min: 3, max: 3, ready })
      for (const vm of yield* Effect.sync(() => [...idle])) yield* vm.kill
      // Without giving the pool the time to notice.
      const vm = yield* Effect.fork(pool.acquire)
      yield* TestClock.adjust("1 minute")
      expect(yield* (yield* Fiber.join(vm)).status).toEqual({ _tag: "Running" })
    }).pipe(on())
  )
})

describe("VmPool: waiting", () => {
  const bootsIn = (seconds: number): Simulated.SimulatedOptions => ({
    beforeStage: (stage) => (stage === "started" ? Effect.sleep(seconds * 1000) : Effect.void)
  })

  effect("acquirers are served in the order of asking", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 2 })
      const served: Array<number> = []
      for (let asker = 0; asker < 20; asker++) {
        const use = Effect.zipRight(
          Effect.sync(() => served.push(asker)),
          Effect.sleep("1 second")
        )
        yield* Effect.fork(Effect.scoped(Effect.zipRight(pool.acquire, use)))
        yield* Effect.yieldNow()
      }
      yield* TestClock.adjust("1 minute")
      expect(served).toEqual(Array.from({ length: 20 }, (_, index) => index))
      expect(yield* pool.stats).toMatchObject({ size: 0, waits: { count: 20 }, spawns: { count: 20, maxMs: 1000 } })
    }).pipe(on(bootsIn(1)))
  )

  effect("who is interrupted in the queue takes nothing along", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      const [one, two, three] = yield* Effect.all([
        Effect.fork(pool.acquire),
        Effect.fork(pool.acquire),
        Effect.fork(pool.acquire)
      ])
      yield* settle
      yield* Fiber.interrupt(one)
      yield* Fiber.interrupt(two)
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(three)).backend.name).toBe("simulated")
      expect(yield* begun).toBe(1)
    }).pipe(on(bootsIn(1)))
  )

  effect("who is interrupted after any number of steps takes nothing along", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, min: 1, max: 1 })
      let served = 0
      for (let steps = 0; steps < 60; steps++) {
        const [, release] = yield* inItsOwnScope(pool.acquire)
        const use = Effect.zipRight(
          pool.acquire,
          Effect.sync(() => served++)
        )
        const waiting = yield* Effect.fork(Effect.scoped(use))
        yield* Effect.yieldNow()
        const releasing = yield* Effect.fork(release)
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(waiting)
        yield* Fiber.join(releasing)
        yield* settle
        expect(yield* pool.stats).toMatchObject({ size: 1, idle: 1, waiting: 0 })
      }
      // Some came before the machine and some after it, or this shows nothing.
      expect(served).toBeGreaterThan(5)
      expect(served).toBeLessThan(55)
    }).pipe(on())
  )

  effect("where nothing may be interrupted, waiting is not interrupted either", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      let served = false
      const use = Effect.tap(pool.acquire, () => {
        served = true
      })
      const waiting = yield* Effect.fork(Effect.uninterruptible(use))
      yield* settle
      yield* Fiber.interruptFork(waiting)
      yield* TestClock.adjust("1 second")
      expect(served).toBe(true)
    }).pipe(on(bootsIn(1)))
  )

  effect("the close of the pool wakes everybody and ends all machines", () =>
    Effect.gen(function* () {
      const [pool, close] = yield* inItsOwnScope(VmPool.make({ config: {}, min: 3, max: 3 }))
      const used = yield* pool.acquire
      yield* pool.acquire
      yield* pool.acquire
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Effect.exit(pool.acquire)))
      yield* settle
      yield* close
      for (const waiter of waiters) {
        const exit = yield* Fiber.join(waiter)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ _tag: "PoolError", reason: "Closed" })
      }
      expect(yield* used.wait).toEqual({ _tag: "Killed" })
      expect(yield* alive).toBe(0)
      expect(yield* pool.stats).toMatchObject({ size: 0, waiting: 0 })
      expect(yield* Effect.flip(pool.acquire)).toMatchObject({ reason: "Closed", retryable: false })
      expect(yield* Effect.flip(pool.tryAcquire)).toMatchObject({ reason: "Closed" })
    }).pipe(on())
  )

  for (const stage of ["created", "loaded", "started"] as const) {
    effect(`the close of the pool interrupts launches before ${stage}`, () =>
      Effect.gen(function* () {
        const [, close] = yield* inItsOwnScope(VmPool.make({ config: {}, min: 3, max: 3 }))
        yield* settle
        expect(yield* alive).toBe(3)
        yield* close
        expect(yield* alive).toBe(0)
      }).pipe(on({ beforeStage: (now) => (now === stage ? Effect.never : Effect.void) }))
    )
  }
})

describe("VmPool: readiness", () => {
  effect("nobody gets a machine before it is ready", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const pool = yield* VmPool.make({ config: {}, min: 1, max: 1, ready: () => Deferred.await(go) })
      const waiting = yield* Effect.fork(pool.acquire)
      yield* settle
      expect(yield* pool.stats).toMatchObject({ launching: 1, idle: 0, waiting: 1 })
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(waiting)
      expect(yield* pool.stats).toMatchObject({ inUse: 1 })
    }).pipe(on())
  )

  effect("reads the console", () =>
    Effect.gen(function* () {
      const ready = (vm: Vm) => vm.console.expect("capsa# ")
      const pool = yield* VmPool.make({ config: {}, max: 1, ready })
      const vm = yield* pool.acquire
      yield* vm.console.writeLine("echo hello")
      yield* vm.console.expect("hello\r\n")
    }).pipe(on({ guest: Simulated.linux }))
  )

  const cases: ReadonlyArray<[string, Pick<VmPool.VmPoolOptions, "ready">, Simulated.Script, RegExp]> = [
    ["fails", { ready: () => Effect.fail(new Error("no prompt")) }, never, /did not become ready: no prompt/],
    ["takes too long", { ready: () => Effect.never }, never, /did not become ready: .*timed out/],
    [
      "waits for a machine that ends",
      { ready: () => Effect.never },
      () => Effect.succeed<VmExit>({ _tag: "Panic" }),
      /ended before it was used: Panic/
    ]
  ]
  for (const [what, options, guest, message] of cases) {
    effect(`when ready ${what}, acquirers are told after the schedule`, () =>
      Effect.gen(function* () {
        const pool = yield* VmPool.make({ config: {}, max: 2, readyTimeout: "1 second", ...options })
        const error = yield* Effect.fork(Effect.flip(pool.acquire))
        yield* TestClock.adjust("1 minute")
        const failure = yield* Fiber.join(error)
        expect(failure).toMatchObject({ reason: "NotReady", retryable: true })
        expect(failure.message).toMatch(message)
        expect(failure.hint).not.toBe("")
        expect(yield* alive).toBe(0)
        expect((yield* pool.stats).launchFailures).toBe(VmPool.patience)
      }).pipe(on({ guest }))
    )
  }

  effect("a ready that throws is told at once", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1, ready: () => Effect.dieMessage("oops") })
      const error = yield* Effect.flip(pool.acquire)
      expect(error).toMatchObject({ reason: "Unlaunchable", retryable: false })
      expect(error.message).toContain("oops")
    }).pipe(on())
  )
})

describe("VmPool: failures", () => {
  effect("machines that end at once do not keep the host busy", () =>
    Effect.gen(function* () {
      yield* VmPool.make({ config: {}, min: 1, max: 4 })
      yield* TestClock.adjust("10 seconds")
      expect(yield* begun).toBeLessThan(12)
      expect(yield* begun).toBeGreaterThan(5)
    }).pipe(on({ guest: () => Effect.succeed({ _tag: "Reboot" }) }))
  )

  effect("acquirers of machines that end at once are told after the schedule", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 4 })
      const error = yield* Effect.fork(Effect.flip(pool.acquire))
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(error)).message).toContain("ended before it was used: Reboot")
    }).pipe(on({ guest: () => Effect.succeed({ _tag: "Reboot" }) }))
  )

  effect("what passes: the acquirer waits, and is served when it has passed", () => {
    const { state, beforeStage } = faulty(guestEnded)
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      const waiting = yield* Effect.fork(pool.acquire)
      yield* TestClock.adjust("400 millis")
      expect((yield* pool.stats).launchFailures).toBeGreaterThan(1)
      state.isBroken = false
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(waiting)).backend.name).toBe("simulated")
    }).pipe(on({ beforeStage }))
  })

  for (const [error, reason, seconds] of [
    [shortage, "LaunchFailed", [10, 36]],
    [guestEnded, "NotReady", [1, 10]]
  ] as const) {
    effect(`${error.reason} that stays: all are told ${reason} after the schedule, with the last cause`, () => {
      const { beforeStage } = faulty(error)
      return Effect.gen(function* () {
        const pool = yield* VmPool.make({ config: {}, max: 2 })
        const waiting = yield* Effect.forEach([1, 2, 3, 4], () => Effect.fork(Effect.flip(pool.acquire)))
        yield* TestClock.adjust(seconds[0] * 1000)
        expect((yield* pool.stats).waiting).toBe(4)
        yield* TestClock.adjust((seconds[1] - seconds[0]) * 1000)
        for (const one of waiting) {
          expect(yield* Fiber.join(one)).toMatchObject({
            reason,
            retryable: true,
            hint: error.hint,
            cause: { reason: error.reason }
          })
        }
        expect(yield* alive).toBe(0)
        // Nobody is waiting and nothing must be kept: nothing is tried any more.
        yield* TestClock.adjust("1 minute")
        const tries = yield* begun
        yield* TestClock.adjust("1 hour")
        expect(yield* begun).toBe(tries)
      }).pipe(on({ beforeStage }))
    })
  }

  effect("one launch that fails while others come up sends nobody away", () => {
    let launches = 0
    const stuck = new Set<string>()
    const beforeStage = (stage: Simulated.SimulatedStage, { id }: BootPlan) => {
      if (stage !== "created") return Effect.void
      if (launches++ === 0) stuck.add(id)
      return stuck.has(id) ? Effect.fail(shortage) : Effect.sleep("1 second")
    }
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 2 })
      const use = Effect.scoped(Effect.zipRight(pool.acquire, Effect.sleep("10 seconds")))
      const using = yield* Effect.fork(Effect.all([use, use, use, use, use], { concurrency: "unbounded" }))
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(using)
      expect((yield* pool.stats).launchFailures).toBe(1)
    }).pipe(on({ beforeStage }))
  })

  effect("what must be kept is tried for ever, every ten seconds at last, and comes back", () => {
    const { state, beforeStage } = faulty(guestEnded)
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, min: 2, max: 2 })
      yield* TestClock.adjust("1 minute")
      const before = (yield* pool.stats).launchFailures
      yield* TestClock.adjust("1 minute")
      // Two at a time, every 8 to 12 seconds.
      expect((yield* pool.stats).launchFailures - before).toBeWithin(8, 17)
      state.isBroken = false
      yield* TestClock.adjust("12 seconds")
      expect(yield* pool.stats).toMatchObject({ size: 2, idle: 2 })
    }).pipe(on({ beforeStage }))
  })

  effect("a cause that stays: the first in the queue is told at once, and the next one after the pause", () => {
    const { beforeStage } = faulty(badKernel)
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      const [one, two] = yield* Effect.all([
        Effect.fork(Effect.flip(pool.acquire)),
        Effect.fork(Effect.flip(pool.acquire))
      ])
      yield* settle
      expect(one.unsafePoll()).not.toBeNull()
      expect(two.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(one)).toMatchObject({
        reason: "Unlaunchable",
        retryable: false,
        hint: "Name another.",
        cause: { reason: "KernelInvalid" }
      })
      expect(yield* Fiber.join(two)).toMatchObject({ reason: "Unlaunchable" })
    }).pipe(on({ beforeStage }))
  })

  effect("a cause that stays does not keep a long queue waiting", () => {
    const { beforeStage } = faulty(badKernel)
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      const queue = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.fork(Effect.flip(pool.acquire)))
      yield* TestClock.adjust("10 seconds")
      for (const one of queue) expect(yield* Fiber.join(one)).toMatchObject({ reason: "Unlaunchable" })
    }).pipe(on({ beforeStage }))
  })

  effect("a backend that cannot serve, and a configuration that cannot be run, are told at once", () => {
    const missing = new BackendError({ reason: "DeviceMissing", detail: "No device.", hint: "Plug it in." })
    return Effect.gen(function* () {
      const pool = yield* VmPool.make({ config: {}, max: 1 })
      expect(yield* Effect.flip(pool.acquire)).toMatchObject({ reason: "Unlaunchable", hint: "Plug it in." })
      const tooMany = yield* VmPool.make({ config: { cpus: 65 }, max: 1 })
      expect(yield* Effect.flip(tooMany.acquire)).toMatchObject({
        reason: "Unlaunchable",
        cause: { _tag: "VmConfigError" }
      })
    }).pipe(on({ beforeStage: () => Effect.fail(missing) }))
  })
})

describe("VmPool: what can be seen of it", () => {
  effect("metrics carry the name of the pool and say what stats say", () =>
    Effect.gen(function* () {
      const name = "seen"
      const [pool, close] = yield* inItsOwnScope(VmPool.make({ config: {}, name, min: 1, max: 2 }))
      yield* TestClock.adjust("500 millis")
      const both = yield* Effect.fork(inItsOwnScope(Effect.all([pool.acquire, pool.acquire])))
      yield* TestClock.adjust("500 millis")
      const [, release] = yield* Fiber.join(both)
      const read = Effect.map(Metric.snapshot, (pairs) =>
        pairs.flatMap(({ metricKey, metricState }) => {
          const labels = Object.fromEntries(metricKey.tags.map(({ key, value }) => [key, value]))
          return labels["pool"] === name ? [{ name: metricKey.name, labels, state: metricState }] : []
        })
      )
      const now = yield* read
      const find = (metric: string, state?: string) =>
        now.find(({ labels, name }) => name === metric && labels["state"] === state)?.state
      expect(find("capsa_pool_hits_total")).toMatchObject({ count: 1 })
      expect(find("capsa_pool_misses_total")).toMatchObject({ count: 1 })
      expect(find("capsa_pool_machines", "inUse")).toMatchObject({ value: 2 })
      expect(find("capsa_pool_wait_milliseconds")).toMatchObject({ count: 1, max: 500 })
      expect(find("capsa_pool_spawn_milliseconds")).toMatchObject({ count: 2, sum: 1000 })
      yield* release
      yield* close
      const after = yield* read
      for (const { name, state } of after.filter(({ name }) => name === "capsa_pool_machines"))
        expect([name, state]).toMatchObject([name, { value: 0 }])
    }).pipe(on({ beforeStage: (stage) => (stage === "started" ? Effect.sleep("500 millis") : Effect.void) }))
  )

  effect("as a layer", () =>
    Effect.gen(function* () {
      const pool = yield* VmPool.VmPool
      const vm = yield* pool.acquire
      expect(vm.name).toBe("worker")
    }).pipe(Effect.provide(VmPool.layer({ config: { name: "worker" }, max: 1 })), on())
  )
})
