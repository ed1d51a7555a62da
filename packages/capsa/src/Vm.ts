/** Virtual machines: launching one, talking to it, ending it. */
import type {
  Backend,
  BackendName,
  BootStage,
  Capabilities,
  MachineError,
  MachineStats,
  PassedOver,
  VmConfig,
  VmError,
  VmExit,
  VmStatus
} from "@capsa/core"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Console } from "./Console.ts"
import * as Launch from "./internal/launch.ts"
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
export const launchRetries = Launch.retries

/**
 * Launches a machine: decodes and validates its description, makes a plan of it, and lets the backend carry that out.
 * Succeeds when the first processor runs; with `readyTimeout`, when the first process of the guest does; with `main`, when
 * that has been started. What is `retryable` is tried again by {@link launchRetries}, and the log says so; everything else
 * fails at once. A failed or interrupted launch leaves nothing behind.
 *
 * @category constructors
 */
export const launch: (config: VmConfig) => Effect.Effect<Vm, VmError, Backend | Scope.Scope> = Launch.vm
