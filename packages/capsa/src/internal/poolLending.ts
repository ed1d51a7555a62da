/** The acquirers' side of a pool: who gets which machine, and gives it back. */
import type { PoolError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { VmPool } from "../VmPool.ts"
import { closed } from "./poolErrors.ts"
import type { PoolMetrics } from "./poolMetrics.ts"
import { isUp, type Lease, type Return, type Roster, type Waiter } from "./poolRoster.ts"

export interface Lender {
  readonly roster: Roster
  readonly metrics: PoolMetrics
  /** Launches what is missing. */
  readonly refill: () => void
  /** A machine reached an acquirer alive. */
  readonly served: Effect.Effect<void>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const make = ({ roster, metrics, refill, served }: Lender): Pick<VmPool, "acquire" | "tryAcquire"> => {
  let tickets = 0

  /** A machine that is up: an idle one, or what `otherwise` gives, which is called in the very step that finds none. */
  const find = <None extends undefined = never>(
    otherwise: () => Effect.Effect<Lease | None, PoolError>
  ): Effect.Effect<Lease | None, PoolError> =>
    Effect.suspend(() => {
      if (roster.isClosed()) return Effect.fail(closed)
      const idle = roster.take()
      return idle === undefined ? otherwise() : Effect.succeed(idle)
    }).pipe(
      Effect.flatMap((lease) => {
        if (lease === undefined) return Effect.succeed(lease)
        return Effect.flatMap(isUp(lease.vm), (up) =>
          up ? Effect.succeed(lease) : Effect.zipRight(giveBack(lease, "untouched"), find(otherwise))
        )
      })
    )

  /** Stands in the queue at once, and waits to be given a machine. */
  const queue = (ticket: number, restore: Restore) => {
    const waiter: Waiter = { ticket, given: Deferred.unsafeMake(FiberId.none) }
    roster.wait(waiter)
    refill()
    return Effect.onInterrupt(restore(Deferred.await(waiter.given)), () => leave(waiter))
  }

  const leave = (waiter: Waiter) =>
    Effect.suspend(() =>
      roster.leave(waiter)
        ? Effect.void
        : Effect.ignore(Effect.flatMap(Deferred.await(waiter.given), (lease) => giveBack(lease, "untouched")))
    )

  const lend = (lease: Lease) =>
    Effect.addFinalizer(() => giveBack(lease, "used")).pipe(Effect.zipRight(served), Effect.as(lease.vm))

  const acquire = Effect.fnUntraced(function* (restore: Restore) {
    const ticket = tickets++
    let waited = false
    const [time, lease] = yield* find<never>(() => {
      if (!waited) metrics.misses.add()
      waited = true
      return queue(ticket, restore)
    }).pipe(Effect.timed)
    if (waited) metrics.waits.add(time)
    else metrics.hits.add()
    return yield* lend(lease)
  })

  const tryAcquire = Effect.gen(function* () {
    const lease = yield* find(() => Effect.succeed(undefined))
    if (lease === undefined) {
      metrics.misses.add()
      return Option.none()
    }
    metrics.hits.add()
    return Option.some(yield* lend(lease))
  })

  return {
    acquire: Effect.uninterruptibleMask(acquire).pipe(Effect.withSpan("VmPool.acquire")),
    tryAcquire: tryAcquire.pipe(Effect.uninterruptible, Effect.withSpan("VmPool.tryAcquire"))
  }
}

const giveBack = (lease: Lease, how: Return) =>
  Effect.sync(() => Deferred.unsafeDone(lease.returned, Effect.succeed(how)))
