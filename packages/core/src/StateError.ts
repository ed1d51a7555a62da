/** What is wrong with the folder in which machines keep what they hold. */
import * as Schema from "effect/Schema"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/**
 * The state folder cannot be used, and nothing was started. `Foreign`: it belongs to another user. `Exposed`: others may
 * write to it. `TooLong`: the sockets of a machine would have longer names than the host allows. `Unusable`: the host
 * refused to create, lock, read or write it; `errno` says why.
 *
 * @category errors
 */
export class StateError extends Schema.TaggedError<StateError>("@capsa/core/StateError")("StateError", {
  reason: Schema.Literal("Foreign", "Exposed", "TooLong", "Unusable"),
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  get retryable(): boolean {
    return false
  }
}
