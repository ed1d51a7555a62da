/**
 * Connections that are used again and again. Effect's own pools have no item that spoils while it lies idle, and leave
 * waiting for ever who comes while an acquisition is on its way that then fails.
 */
import { VsockError } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { ConnectOptions, VsockConnection, VsockPool, VsockPoolOptions } from "../Vsock.ts"
import * as errors from "./vsockErrors.ts"

/** A connection, and whether it is as good as new. */
export interface Poolable extends VsockConnection {
  readonly isIdle: () => boolean
}

type Connect = (port: number, options: ConnectOptions) => Effect.Effect<Poolable, VsockError, Scope.Scope>

interface Member {
  readonly connection: Poolable
  readonly close: Effect.Effect<void>
}

interface Idle extends Member {
  readonly since: number
}

/** The connections to one port. */
interface Place {
  readonly permits: Effect.Semaphore
  /** The one that was used last is last. */
  idle: Array<Idle>
}

/** Enough for everybody who may wait. */
const permitsForAll = 2 ** 30

export const make = Effect.fnUntraced(function* (connect: Connect, options: VsockPoolOptions) {
  const { max, port, timeout } = options
  if (!Number.isSafeInteger(max) || max < 1)
    return yield* errors.invalidOption(port, "max", `A pool cannot hold ${max} connections.`, "Give 1 or more.")
  const timeToLive = yield* timeToLiveOf(options)
  const scope = yield* Effect.scope
  const places = new Map<number, Place>()
  const returned = Effect.unsafeMakeLatch(false)
  let isOpen = true
  let inUse = 0
  let waiting = 0

  const placeOf = (port: number): Place => {
    const place = places.get(port) ?? { permits: Effect.unsafeMakeSemaphore(max), idle: [] }
    places.set(port, place)
    return place
  }

  /** One that lies there and is as good as new; others that lie there are closed. */
  const reused = (place: Place): Effect.Effect<Option.Option<Member>> =>
    Effect.suspend(() => {
      const last = place.idle.pop()
      if (last === undefined) return Effect.succeedNone
      return last.connection.isIdle() ? Effect.succeedSome(last) : Effect.zipRight(last.close, reused(place))
    })

  const connected = (port: number): Effect.Effect<Member, VsockError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
        const close = Scope.close(own, Exit.void)
        const connection = yield* Scope.extend(connect(port, { timeout }), own).pipe(
          restore,
          Effect.onError(() => close)
        )
        return { connection, close }
      })
    )

  const giveBack = (place: Place, { close, connection }: Member) =>
    Effect.flatMap(Clock.currentTimeMillis, (since) => {
      inUse--
      if (!isOpen || !connection.isIdle()) return close
      place.idle.push({ close, connection, since })
      returned.unsafeOpen()
      return Effect.void
    })

  const acquireTo = (port: number): Effect.Effect<VsockConnection, VsockError, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const place = placeOf(port)
        waiting++
        yield* Effect.ensuring(
          restore(place.permits.take(1)),
          Effect.sync(() => waiting--)
        )
        yield* Effect.addFinalizer(() => place.permits.release(1))
        if (!isOpen) return yield* poolClosed(port)
        const member = Option.getOrUndefined(yield* reused(place)) ?? (yield* restore(connected(port)))
        inUse++
        yield* Effect.addFinalizer(() => giveBack(place, member))
        return member.connection
      })
    )

  const closeExpired = (now: number, timeToLive: number) =>
    Effect.forEach([...places.values()], (place) => {
      const expired = place.idle.filter(({ since }) => now - since >= timeToLive)
      place.idle = place.idle.filter(({ since }) => now - since < timeToLive)
      return Effect.forEach(expired, ({ close }) => close)
    })

  const sweep = (timeToLive: number) =>
    Effect.gen(function* () {
      const oldest = Math.min(...[...places.values()].map(({ idle }) => idle[0]?.since ?? Number.POSITIVE_INFINITY))
      if (oldest === Number.POSITIVE_INFINITY) {
        returned.unsafeClose()
        yield* returned.await
      } else {
        yield* Effect.sleep(Math.max(0, oldest + timeToLive - (yield* Clock.currentTimeMillis)))
        yield* closeExpired(yield* Clock.currentTimeMillis, timeToLive)
      }
    })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isOpen = false
      return Effect.forEach([...places.values()], ({ permits }) => permits.release(permitsForAll))
    })
  )
  if (timeToLive !== undefined) yield* Effect.forkScoped(Effect.forever(sweep(timeToLive)))

  return {
    acquire: acquireTo(port),
    acquireTo,
    stats: Effect.sync(() => ({
      idle: [...places.values()].reduce((sum, { idle }) => sum + idle.length, 0),
      inUse,
      waiting
    }))
  } satisfies VsockPool
})

const timeToLiveOf = ({ idleTimeToLive, port }: VsockPoolOptions): Effect.Effect<number | undefined, VsockError> =>
  idleTimeToLive === undefined
    ? Effect.succeed(undefined)
    : Option.match(Duration.decodeUnknown(idleTimeToLive), {
        onNone: () =>
          Effect.fail(
            errors.invalidOption(
              port,
              "idleTimeToLive",
              `${idleTimeToLive} is no span of time.`,
              'Give one like "30 seconds".'
            )
          ),
        onSome: (span) => Effect.succeed(Duration.toMillis(span))
      })

const poolClosed = (port: number): VsockError =>
  new VsockError({
    reason: "Closed",
    port,
    detail: "The pool of connections is closed.",
    hint: "Acquire connections inside the scope in which the pool was made."
  })
