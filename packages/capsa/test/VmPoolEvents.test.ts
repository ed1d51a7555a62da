/** A pool under whatever order of events a generator thinks of. */
import { expect, test } from "bun:test"
import { PoolError, VmBootError } from "@capsa/core"
import { Simulated } from "@capsa/testing"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import type { Vm } from "../src/Vm.ts"
import * as VmPool from "../src/VmPool.ts"

interface Settings {
  readonly min: number
  readonly more: number
  readonly resets: boolean
  readonly ages: boolean
  readonly launchMs: number
}

type Event =
  | { readonly _tag: "acquire" | "tryAcquire" }
  | { readonly _tag: "release" | "interrupt" | "kill"; readonly which: number }
  | { readonly _tag: "time"; readonly seconds: number }
  | { readonly _tag: "host"; readonly error: VmBootError | undefined }

const shortage = new VmBootError({ reason: "HostResources", detail: "No room.", hint: "Close something." })
const guestEnded = new VmBootError({ reason: "GuestEnded", detail: "It ended.", hint: "Read its console." })
const badKernel = new VmBootError({ reason: "KernelInvalid", detail: "No kernel.", hint: "Name another." })

const settings: fc.Arbitrary<Settings> = fc
  .record({
    min: fc.nat(3),
    more: fc.nat(3),
    resets: fc.boolean(),
    ages: fc.boolean(),
    launchMs: fc.constantFrom(0, 1000)
  })
  .filter(({ min, more }) => min + more > 0)

const which = fc.nat(100)
const events: fc.Arbitrary<ReadonlyArray<readonly [Event, yields: number]>> = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ _tag: fc.constant("acquire" as const) }) },
      { weight: 1, arbitrary: fc.record({ _tag: fc.constant("tryAcquire" as const) }) },
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("release" as const), which }) },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("interrupt" as const), which }) },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("kill" as const), which }) },
      {
        weight: 2,
        arbitrary: fc.record({ _tag: fc.constant("time" as const), seconds: fc.integer({ min: 1, max: 9 }) })
      },
      {
        weight: 2,
        arbitrary: fc.record({
          _tag: fc.constant("host" as const),
          error: fc.constantFrom(undefined, shortage, guestEnded, badKernel)
        })
      }
    ),
    // How far the consequences get before the next event.
    fc.nat(30)
  ),
  { maxLength: 40 }
)

/** Somebody who asked for a machine, and keeps it until told to let go. */
interface Asker {
  readonly fiber: Fiber.RuntimeFiber<void, unknown>
  readonly letGo: Deferred.Deferred<void>
}

const pick = <A>(from: ReadonlyArray<A>, which: number): Option.Option<A> =>
  Option.fromNullable(from[which % Math.max(1, from.length)])

const run = (settings: Settings, events: ReadonlyArray<readonly [Event, number]>) => {
  const { min, more, resets, ages, launchMs } = settings
  const max = min + more
  let hostError: VmBootError | undefined
  const machines: Array<Vm> = []
  const askers: Array<Asker> = []
  const held = new Set<string>()
  const used = new Set<string>()

  const beforeStage = (stage: Simulated.SimulatedStage) =>
    stage === "started"
      ? Effect.zipRight(
          Effect.sleep(launchMs),
          Effect.suspend(() => hostError ?? Effect.void)
        )
      : Effect.void

  const use = (vm: Vm) =>
    Effect.gen(function* () {
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      expect(held.has(vm.id)).toBe(false)
      if (!resets) expect(used.has(vm.id)).toBe(false)
      used.add(vm.id)
      held.add(vm.id)
      yield* Effect.addFinalizer(() => Effect.sync(() => held.delete(vm.id)))
    })

  const body = Effect.gen(function* () {
    const { alive } = yield* Simulated.Machines
    const scope = yield* Scope.make()
    const pool = yield* VmPool.make({
      config: {},
      min,
      max,
      idleTimeToLive: ages ? "5 seconds" : undefined,
      ready: (vm) => Effect.sync(() => machines.push(vm)),
      reset: resets ? () => Effect.sleep("1 second") : undefined
    }).pipe(Scope.extend(scope))

    const ask = Effect.fnUntraced(function* (acquire: Effect.Effect<Option.Option<Vm>, unknown, Scope.Scope>) {
      const letGo = yield* Deferred.make<void>()
      const asking = Effect.flatMap(
        acquire,
        Option.match({
          onNone: () => Effect.void,
          onSome: (vm) => Effect.zipRight(use(vm), Deferred.await(letGo))
        })
      )
      askers.push({ fiber: yield* Effect.fork(Effect.scoped(asking)), letGo })
    })

    const happen = (event: Event): Effect.Effect<unknown> => {
      switch (event._tag) {
        case "acquire":
          return ask(Effect.asSome(pool.acquire))
        case "tryAcquire":
          return ask(pool.tryAcquire)
        case "release":
          return Effect.flatMap(pick(askers, event.which), ({ letGo }) => Deferred.succeed(letGo, undefined)).pipe(
            Effect.ignore
          )
        case "interrupt":
          return Effect.flatMap(pick(askers, event.which), ({ fiber }) => Fiber.interruptFork(fiber)).pipe(
            Effect.ignore
          )
        case "kill":
          return Effect.flatMap(pick(machines, event.which), ({ kill }) => Effect.fork(kill)).pipe(Effect.ignore)
        case "time":
          return TestClock.adjust(event.seconds * 1000)
        case "host":
          return Effect.sync(() => {
            hostError = event.error
          })
      }
    }

    const inspect = Effect.gen(function* () {
      const { size, launching, idle, inUse, resetting, retiring, waiting } = yield* pool.stats
      expect(size).toBe(launching + idle + inUse + resetting + retiring)
      expect(size).toBeLessThanOrEqual(max)
      expect(yield* alive).toBeLessThanOrEqual(size)
      if (waiting > 0) expect(idle).toBe(0)
      expect(held.size).toBeLessThanOrEqual(inUse)
    })

    for (const [event, yields] of events) {
      yield* happen(event)
      for (let step = 0; step <= yields; step++) {
        yield* Effect.yieldNow()
        yield* inspect
      }
    }

    // Once the host is well again, whoever still waits is served, and the pool is as it should be.
    hostError = undefined
    for (const { letGo } of askers) yield* Deferred.succeed(letGo, undefined)
    yield* TestClock.adjust("1 minute")
    for (const { fiber } of askers) {
      const exit = Option.getOrThrow(yield* Fiber.poll(fiber))
      if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
        const error = Cause.squash(exit.cause)
        if (!(error instanceof PoolError)) throw error
        expect(error.cause).toBeDefined()
      }
    }
    const stats = yield* pool.stats
    expect(stats).toMatchObject({ waiting: 0, inUse: 0, launching: 0, resetting: 0, retiring: 0 })
    expect(stats.size).toBeGreaterThanOrEqual(min)
    if (ages) expect(stats.size).toBe(min)
    expect(yield* alive).toBe(stats.size)
    yield* Scope.close(scope, Exit.void)
    expect(yield* alive).toBe(0)
  })

  return body.pipe(
    Effect.scoped,
    Effect.provide(Simulated.layer({ guest: () => Effect.never, beforeStage })),
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.provide(TestContext.TestContext),
    Effect.runPromise
  )
}

test(
  "VmPool keeps its promises under any order of events",
  () => fc.assert(fc.asyncProperty(settings, events, run), { numRuns: 60 }),
  120_000
)
