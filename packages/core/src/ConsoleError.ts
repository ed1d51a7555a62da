/** What can go wrong while waiting for console output. */
import * as Schema from "effect/Schema"
import { errorFields, messageOf } from "./internal/errorFields.ts"
import { VmExit } from "./VmExit.ts"

/**
 * `Timeout`: the pattern did not come in time. `Ended`: the machine ended first. `LoginIncorrect`: the guest refused user
 * and password. `InvalidInput`: what should be typed cannot be typed, and nothing was. `received` is what had come
 * since the last match (its tail, as text); none of it is lost to the next `expect`.
 *
 * @category errors
 */
export class ConsoleError extends Schema.TaggedError<ConsoleError>("@capsa/core/ConsoleError")("ConsoleError", {
  reason: Schema.Literal("Timeout", "Ended", "LoginIncorrect", "InvalidInput"),
  /** What was waited for, as text. */
  pattern: Schema.String,
  received: Schema.String,
  /** How the machine ended, if it did. */
  exit: Schema.optional(VmExit),
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  get retryable(): boolean {
    return this.reason === "Timeout"
  }
}
