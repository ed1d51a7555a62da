/**
 * The workings of a pool. One fiber leads each machine from its launch to its end and holds its place among `max` until
 * the machine is gone. Effect's own `Pool` does not carry this: what it is destroying no longer counts against its
 * maximum, waiters wake only after the slowest of the launches that began together, a failed launch is not tried again
 * and is handed to whoever comes next, however late, and closing it interrupts the waiters and waits for the users.
 */
import type { Backend, PoolError } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Vm } from "../Vm.ts"
import type { VmPool } from "../VmPool.ts"
import * as Backoff from "./poolBackoff.ts"
import { broken, closed, endedEarly } from "./poolErrors.ts"
import * as Lending from "./poolLending.ts"
import * as Metrics from "./poolMetrics.ts"
import * as Roster from "./poolRoster.ts"

export interface Settings<R> {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly idleTimeToLive: Duration.Duration | undefined
  /** Launches a machine and makes it ready. */
  readonly spawn: Effect.Effect<Vm, PoolError, Backend | Scope.Scope | R>
  /** Makes a used machine as good as new; without it, no machine is used twice. */
  readonly reset: ((vm: Vm) => Effect.Effect<unknown, unknown, R>) | undefined
}

/** A machine that ends unused and younger than this has failed to launch. */
const provenAfterMs = 10_000

export const make = Effect.fnUntraced(function* <R>({ name, min, max, idleTimeToLive, spawn, reset }: Settings<R>) {
  const metrics = Metrics.make(name)
  const roster = Roster.make(min, max, metrics.gauge)
  const fork = yield* FiberSet.makeRuntime<Backend | R>()
  const backoff = yield* Backoff.make(() => refill())

  const refill = (): void => {
    while (backoff.mayLaunch() && roster.missing() > 0) fork(lead(roster.add(), backoff.round()))
  }

  const lead = (slot: Roster.Slot, round: number): Effect.Effect<void, never, Backend | R> => {
    const spawnedBefore = metrics.spawns.tally().count
    return Effect.gen(function* () {
      const [spawnTime, vm] = yield* Effect.timed(
        Effect.withSpan(spawn, "VmPool.spawn", { root: true, attributes: { pool: name } })
      )
      metrics.spawns.add(spawnTime)
      yield* backoff.cameUp
      const readyAt = yield* Clock.currentTimeMillis
      const wasUsed = yield* serve(vm, slot)
      const status = yield* vm.status
      const age = (yield* Clock.currentTimeMillis) - readyAt
      if (status._tag === "Ended" && !wasUsed && age < provenAfterMs) return yield* endedEarly(status.exit)
    }).pipe(
      Effect.catchAllDefect((defect) => broken(defect)),
      Effect.catchAll((error) => noteFailure(error, round, spawnedBefore)),
      Effect.zipRight(
        Effect.sync(() => {
          roster.move(slot, "retiring")
          refill()
        })
      ),
      Effect.scoped,
      Effect.ensuring(
        Effect.sync(() => {
          roster.remove(slot)
          refill()
        })
      ),
      Effect.annotateLogs({ pool: name, component: "pool" })
    )
  }

  const noteFailure = (error: PoolError, round: number, spawnedBefore: number) =>
    Effect.sync(() => {
      metrics.launchFailures.add()
      const failuresInARow = backoff.failed(round)
      // Such a launch has tried again for half a minute by itself.
      const isOutage = error.reason === "LaunchFailed" && metrics.spawns.tally().count === spawnedBefore
      if (isOutage || failuresInARow >= Backoff.patience) roster.disappoint(error)
      else if (error.reason === "Unlaunchable") roster.disappoint(error, 1)
    }).pipe(Effect.zipRight(Effect.logWarning("a machine of the pool failed", error)))

  /** Lends a machine out until it is no good any more, or not wanted; tells whether anybody has used it. */
  const serve = Effect.fnUntraced(function* (vm: Vm, slot: Roster.Slot) {
    let wasUsed = false
    while (yield* Roster.isUp(vm)) {
      const lease = yield* Roster.makeLease(vm, slot)
      roster.offer(lease)
      yield* untilTaken(lease)
      if (slot.phase !== "inUse") return wasUsed
      if ((yield* Deferred.await(lease.returned)) === "untouched") continue
      wasUsed = true
      if (!(yield* renew(vm, slot))) return wasUsed
    }
    return wasUsed
  })

  /** Returns when it is taken, or withdrawn because it ended or grew too old. */
  const untilTaken = (lease: Roster.Lease): Effect.Effect<unknown> => {
    const ended = Effect.map(lease.vm.wait, () => roster.withdraw(lease))
    const unwanted = idleTimeToLive === undefined ? ended : Effect.raceFirst(ended, overdue(lease, idleTimeToLive))
    return Effect.raceFirst(Deferred.await(lease.taken), unwanted)
  }

  const overdue = (lease: Roster.Lease, age: Duration.Duration) =>
    Effect.sync(() => roster.isExcess() && roster.withdraw(lease)).pipe(
      Effect.delay(age),
      Effect.repeat({ until: (withdrawn) => withdrawn })
    )

  const renew = (vm: Vm, slot: Roster.Slot) =>
    Effect.gen(function* () {
      if (reset === undefined || !(yield* Roster.isUp(vm))) return false
      roster.move(slot, "resetting")
      yield* reset(vm)
      return true
    }).pipe(
      Effect.catchAllCause((cause) =>
        Effect.as(Effect.logWarning("a machine of the pool could not be reset: destroying it", cause), false)
      )
    )

  // Runs before the fibers above are interrupted: from here on nobody is served and nothing is launched.
  yield* Effect.addFinalizer(() => Effect.sync(() => roster.close(closed)))
  refill()
  return {
    ...Lending.make({ roster, metrics, refill, served: backoff.served }),
    stats: Effect.sync(() => ({ ...roster.counts(), ...metrics.figures() }))
  } satisfies VmPool
})
