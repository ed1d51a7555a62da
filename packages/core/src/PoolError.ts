/** What can go wrong with a pool of machines. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. @category models */
export const reasons = {
  Invalid: {
    happened: "The options make no pool; the message names the one.",
    retryable: false,
    remedy: "Correct it. `max` is a whole number from 1, `min` one from 0 to `max`."
  },
  Closed: {
    happened: "The scope of the pool has closed, and with it the queue.",
    retryable: false,
    remedy: "Acquire machines inside the scope in which the pool was made."
  },
  LaunchFailed: {
    happened:
      "A launch failed for a cause that may pass, was tried again by `Vm.launchRetries`, and no machine of the pool came up meanwhile. Everybody in the queue is told.",
    retryable: true,
    remedy: "`cause` is the launch's own error. The pool goes on trying what it must keep."
  },
  NotReady: {
    happened:
      "Machine after machine came up, and `ready` failed or took too long, or it ended before somebody could use it. Everybody in the queue is told.",
    retryable: true,
    remedy:
      "`cause` is what `ready` failed with. Launch a machine with the same configuration outside the pool and read its console."
  },
  Unlaunchable: {
    happened:
      "A launch failed for a cause that does not pass by itself. The first in the queue is told at once, everybody when it happens time after time.",
    retryable: false,
    remedy: "`cause` is the launch's own error, and the hint is its hint."
  }
} as const satisfies FailureReasons

/** @category models */
export const PoolErrorReason = schemaOf(reasons)
/** @category models */
export type PoolErrorReason = typeof PoolErrorReason.Type

/**
 * A pool cannot be made, or has no machine to give.
 *
 * @category errors
 */
export class PoolError extends Schema.TaggedError<PoolError>("@capsa/core/PoolError")("PoolError", {
  reason: PoolErrorReason,
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return reasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
