/** What only the command line can fail with. */
import * as Schema from "effect/Schema"

/** The words of the command line make no sense. @category errors */
export class UsageError extends Schema.TaggedError<UsageError>("@capsa/cli/UsageError")("UsageError", {
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  get retryable(): boolean {
    return false
  }
}

/**
 * A machine came up and did not end well. `Timeout`: it was killed because its time was over.
 *
 * @category errors
 */
export class RunError extends Schema.TaggedError<RunError>("@capsa/cli/RunError")("RunError", {
  reason: Schema.Literal("Timeout", "Panic", "OutOfMemory", "Killed", "Failed"),
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  get retryable(): boolean {
    return false
  }
}
