/** Many machines of one kind, kept ready for whoever needs one. */
import type { Backend, PoolError, VmConfig, VmConfigError } from "@capsa/core"
import { decode } from "@capsa/core/VmConfig"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Pool from "./internal/pool.ts"
import * as Backoff from "./internal/poolBackoff.ts"
import { invalid } from "./internal/poolErrors.ts"
import { spawn } from "./internal/poolSpawn.ts"
import type { Vm } from "./Vm.ts"

/** @category models */
export interface VmPoolOptions<ReadyR = never, ResetR = never> {
  /** What every machine of the pool is. */
  readonly config: VmConfig
  /** A name for logs and metrics; "pool" if absent. */
  readonly name?: string | undefined
  /** Machines that the pool keeps, those in use included; 0 if absent. */
  readonly min?: number | undefined
  /** Machines that exist at a time at most, those included that come up or are being destroyed. */
  readonly max: number
  /** How long a machine that is more than `min` may be idle before it is destroyed; for ever if absent. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /** Succeeds when a machine can be given away; if absent, it can as soon as its first processor runs. */
  readonly ready?: ((vm: Vm) => Effect.Effect<unknown, unknown, ReadyR>) | undefined
  /** How long `ready` may take, and `reset` too; 2 minutes if absent. */
  readonly readyTimeout?: Duration.DurationInput | undefined
  /**
   * Makes a machine that was used as good as new; if it fails, the machine is destroyed. If absent, no machine is used
   * twice.
   */
  readonly reset?: ((vm: Vm) => Effect.Effect<unknown, unknown, ResetR>) | undefined
}

/** Times of something that happens again and again, in milliseconds. @category models */
export interface Tally {
  readonly count: number
  readonly totalMs: number
  readonly maxMs: number
}

/** Where the machines of a pool are now, and what has happened since it was made. @category models */
export interface VmPoolStats {
  /** All machines: the sum of the next five; never more than `max`. */
  readonly size: number
  /** On their way up. */
  readonly launching: number
  readonly idle: number
  readonly inUse: number
  readonly resetting: number
  /** Being destroyed. */
  readonly retiring: number
  /** Acquirers in the queue. */
  readonly waiting: number
  /** Acquirers that were served at once. */
  readonly hits: number
  /** Acquirers that found no idle machine. */
  readonly misses: number
  /** Of these, the ones who waited and were served. */
  readonly waits: Tally
  /** Machines that came up and became ready. */
  readonly spawns: Tally
  /** Machines that did not, or that ended at once. */
  readonly launchFailures: number
}

/**
 * Machines of one kind. They are launched when they are needed, up to `max`, and while there are fewer than `min`. Nobody
 * gets a machine that has ended: one that ends while it is idle is replaced.
 *
 * After a failed launch there is a pause ({@link backoff}) before the next begins, longer each time until an acquirer has
 * been served. Acquirers wait on, and are told when it does not get better: with `LaunchFailed` when a launch has used up
 * `Vm.launchRetries` and no other machine has come up meanwhile; with `NotReady` when {@link patience} machines in a row did
 * not become ready (those that were launched at the same time count as one). A launch that fails for a cause that does not
 * pass by itself sends the first in the queue away at once, with `Unlaunchable`, and everybody when it is the
 * {@link patience}th in a row.
 *
 * When the scope of the pool closes, acquirers in the queue fail with `Closed` and all machines end, those in use too.
 *
 * @category models
 */
export interface VmPool {
  /**
   * A machine for this scope alone, served in the order of asking. It goes back to the pool when the scope closes, which
   * does not wait for its end. Whoever is interrupted in the queue takes nothing along.
   */
  readonly acquire: Effect.Effect<Vm, PoolError, Scope.Scope>
  /** The same if a machine is idle, otherwise none. Never waits, and launches nothing. */
  readonly tryAcquire: Effect.Effect<Option.Option<Vm>, PoolError, Scope.Scope>
  readonly stats: Effect.Effect<VmPoolStats>
}

/** The pool of a program that has one. @category tags */
export const VmPool: Context.Tag<VmPool, VmPool> = Context.GenericTag<VmPool>("capsa/VmPool")

/** The pauses after failed launches: from 100 ms, doubled each time, up to 10 s, with jitter. @category schedules */
export const backoff: Schedule.Schedule<unknown> = Backoff.schedule

/** Failures in a row after which everybody who waits is told. @category schedules */
export const patience: number = Backoff.patience

/**
 * Makes a pool, which belongs to the scope. Fails if the options or the shape of the configuration are wrong; whether
 * machines can be launched shows in the background, and to the first who acquires one.
 *
 * @category constructors
 */
export const make: <ReadyR = never, ResetR = never>(
  options: VmPoolOptions<ReadyR, ResetR>
) => Effect.Effect<VmPool, PoolError | VmConfigError, Backend | Scope.Scope | ReadyR | ResetR> = Effect.fn(
  "VmPool.make"
)(function* <ReadyR, ResetR>(options: VmPoolOptions<ReadyR, ResetR>) {
  const { name = "pool", min = 0, max, ready = () => Effect.void, reset } = options
  const config = yield* decode(options.config)
  if (!Number.isSafeInteger(max) || max < 1)
    return yield* invalid("max", `A pool cannot hold ${max} machines.`, "Give a whole number, 1 or more.")
  if (!Number.isSafeInteger(min) || min < 0 || min > max)
    return yield* invalid("min", `A pool cannot keep ${min} of ${max} machines.`, "Give a whole number up to `max`.")
  const readyTimeout = yield* durationOf("readyTimeout", options.readyTimeout ?? "2 minutes")
  return yield* Pool.make<ReadyR | ResetR>({
    name,
    min,
    max,
    idleTimeToLive:
      options.idleTimeToLive === undefined ? undefined : yield* durationOf("idleTimeToLive", options.idleTimeToLive),
    spawn: spawn(config, ready, readyTimeout),
    reset: reset === undefined ? undefined : (vm) => Effect.timeout(reset(vm), readyTimeout)
  })
})

const durationOf = (field: string, input: Duration.DurationInput) =>
  Option.match(Duration.decodeUnknown(input), {
    onNone: () => Effect.fail(invalid(field, `${input} is no span of time.`, 'Give one like "30 seconds".')),
    onSome: Effect.succeed
  })

/**
 * {@link make} as the service {@link VmPool}; a program with several pools gives each a tag of its own:
 * `Layer.scoped(Browsers, VmPool.make(options))`.
 *
 * @category layers
 */
export const layer = <ReadyR = never, ResetR = never>(
  options: VmPoolOptions<ReadyR, ResetR>
): Layer.Layer<VmPool, PoolError | VmConfigError, Backend | Exclude<ReadyR | ResetR, Scope.Scope>> =>
  Layer.scoped(VmPool, make(options))
