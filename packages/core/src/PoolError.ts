/** What can go wrong with a pool of machines. */
import * as Schema from "effect/Schema"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** @category models */
export const PoolErrorReason = Schema.Literal("Invalid", "Closed", "LaunchFailed", "Unlaunchable")
/** @category models */
export type PoolErrorReason = typeof PoolErrorReason.Type

/**
 * `Invalid`: the pool cannot be made with these options. `Closed`: its scope has closed. `LaunchFailed`: launch after launch
 * failed, or machines came up and did not become ready. `Unlaunchable`: a launch failed for a cause that does not pass by
 * itself. For the last two, `cause` is the error of the latest launch.
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
  get retryable(): boolean {
    return this.reason === "LaunchFailed"
  }
}
