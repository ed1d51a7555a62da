/** What can go wrong with a machine that runs. */
import * as Schema from "effect/Schema"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/**
 * An operation on a running machine failed. `NotRunning`: it has ended, or is not up yet. `Unsupported`: this backend
 * cannot do it. `HostFailure`: the host refused.
 *
 * @category errors
 */
export class MachineError extends Schema.TaggedError<MachineError>("@capsa/core/MachineError")("MachineError", {
  reason: Schema.Literal("NotRunning", "Unsupported", "HostFailure"),
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  get retryable(): boolean {
    return false
  }
}
