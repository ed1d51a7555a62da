/** Virtual machines: launching one, talking to it, ending it. */
import {
  Backend,
  type BackendName,
  type BootStage,
  type Capabilities,
  type MachineError,
  type MachineStats,
  type PassedOver,
  type VmConfig,
  type VmError,
  type VmExit,
  type VmStatus
} from "@capsa/core"
import * as BootPlan from "@capsa/core/BootPlan"
import { validate } from "@capsa/core/ConfigValidation"
import { decode } from "@capsa/core/VmConfig"
import * as Path from "@effect/platform/Path"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { candidates } from "./Backend.ts"
import type { Console } from "./Console.ts"
import { GuestImage } from "./GuestImage.ts"
import { speaker } from "./internal/identity.ts"
import { stopwatch } from "./internal/journal.ts"
import * as Life from "./internal/life.ts"
import * as Measure from "./internal/measure.ts"
import type { VmNetwork } from "./VmNetwork.ts"
import type { Vsock } from "./Vsock.ts"

/** @category models */
export interface StopOptions {
  /** How long the guest may take to switch itself off; 10 seconds if absent. */
  readonly grace?: Duration.DurationInput | undefined
}

/** What runs a machine. @category models */
export interface VmBackend {
  readonly name: BackendName
  readonly description: string
  readonly capabilities: Capabilities
  readonly passedOver: ReadonlyArray<PassedOver>
}

/**
 * A machine that came up. It belongs to the scope that launched it and is killed when that closes; it may end earlier, of
 * itself or by `stop` and `kill`, and then all of this still answers.
 *
 * @category models
 */
export interface Vm {
  /** UUID. */
  readonly id: string
  readonly name: string
  /** As it was given to {@link launch}. */
  readonly config: VmConfig
  readonly backend: VmBackend
  /** What it is doing now. */
  readonly status: Effect.Effect<VmStatus>
  /** What it is doing now and from now on, however slowly it is read; ends after `Ended`. */
  readonly statusChanges: Stream.Stream<VmStatus>
  /** The stages reached so far, in order, with their times since the launch was asked for. */
  readonly stages: Effect.Effect<ReadonlyArray<BootStage>>
  /** The stages reached so far and from now on, each once, as they become known; ends with the machine. */
  readonly stageChanges: Stream.Stream<BootStage>
  readonly console: Console
  /** Connections to the guest, and from it, by port number. */
  readonly vsock: Vsock
  /**
   * Presses the power button and waits; kills the machine when the grace period is over or the button is out of order.
   * Tells how it ended. Once begun it is carried through, also if the caller is interrupted; of several callers' grace
   * periods the first to be over counts.
   */
  readonly stop: (options?: StopOptions) => Effect.Effect<VmExit>
  /** Ends it at once, whatever it is doing. Tells how it ended. */
  readonly kill: Effect.Effect<VmExit>
  /** Waits for its end. The same answer for every caller, however late. */
  readonly wait: Effect.Effect<VmExit>
  /** Stops its processors. Does nothing to one that is paused; fails with `NotRunning` on one that is stopping or has ended. */
  readonly pause: Effect.Effect<void, MachineError>
  /** Lets them go on. Does nothing to one that runs; fails as `pause` does. */
  readonly resume: Effect.Effect<void, MachineError>
  readonly stats: Effect.Effect<MachineStats, MachineError>
  readonly network: VmNetwork
}

/**
 * When {@link launch} tries again after a failure that is `retryable`: after about 0.2 s, 0.4 s and so on up to 5 s, each
 * up to a fifth shorter or longer at random so that many launches do not come back at the same moment; eight times at
 * most, and not once half a minute has passed since the first failure.
 *
 * @category schedules
 */
export const launchRetries = Schedule.exponential("200 millis").pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jittered,
  Schedule.modifyDelay((_, delay) => Duration.millis(Math.round(Duration.toMillis(delay)))),
  Schedule.intersect(Schedule.recurs(8)),
  Schedule.upTo("30 seconds")
)

/**
 * Launches a machine: decodes and validates its description, makes a plan of it, and lets the backend carry that out.
 * Succeeds when the first processor runs; with `readyTimeout`, when the first process of the guest does. What is
 * `retryable` is tried again by {@link launchRetries}, and the log says so; everything else fails at once. A failed or
 * interrupted launch leaves nothing behind.
 *
 * @category constructors
 */
export const launch: (config: VmConfig) => Effect.Effect<Vm, VmError, Backend | Scope.Scope> = Effect.fn("Vm.launch")(
  function* (input: VmConfig) {
    const millisSinceLaunch = yield* stopwatch
    const { boot, ...backend } = yield* Backend
    const id = yield* Effect.sync(() => crypto.randomUUID())
    const config = yield* decode(input)
    const name = config.name ?? BootPlan.defaultName(id)
    const identity = { "vm.id": id, "vm.name": name, "vm.backend": backend.name }
    yield* Effect.annotateCurrentSpan(identity)
    const asMachine = yield* speaker(identity)
    const vm = yield* makePlan(config, id, backend).pipe(
      Effect.flatMap((plan) => retrying(inScopeOfItsOwn(Life.make(boot(plan), config, millisSinceLaunch, identity)))),
      Effect.tapError((error) => Effect.logDebug("launch failed", error)),
      asMachine
    )
    return { ...vm, id, name, config, backend } satisfies Vm
  },
  Measure.launch
)

/** Everything but the images is looked at before those are fetched or built. */
const makePlan = Effect.fn("Vm.plan")(
  function* (config: VmConfig, id: string, { name, capabilities }: VmBackend) {
    yield* validate(config, { capabilities, backend: name, others: candidates })
    const images = config.boot === undefined ? yield* (yield* GuestImage).images(capabilities) : undefined
    return yield* BootPlan.make(config, { id, capabilities, images })
  },
  (plan) => Effect.flatMap(host, (context) => Effect.provide(plan, context))
)

/** The host's files and paths, built once: that takes longer than all that a launch looks at. */
const host = Effect.runSync(Effect.cached(Effect.scoped(Layer.build(Layer.merge(BunFileSystem.layer, Path.layer)))))

const retrying = <A, E extends VmError, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(
    attempt,
    Schedule.intersect(Schedule.identity<E>(), launchRetries).pipe(
      Schedule.whileInput(({ retryable }) => retryable),
      Schedule.modifyDelayEffect(([error], delay) =>
        Effect.logWarning(`launch failed: trying again in ${Duration.format(delay)}`, error).pipe(Effect.as(delay))
      )
    )
  )

/** Runs it in a scope that closes at once if it fails or is interrupted, and otherwise with the scope around it. */
const inScopeOfItsOwn = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      return yield* restore(Scope.extend(effect, scope)).pipe(
        Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
      )
    })
  )
