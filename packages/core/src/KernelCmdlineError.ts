/** What is wrong with a kernel command line. */
import * as Schema from "effect/Schema"

/**
 * `ControlCharacter`: a line end, NUL or the like. `UnbalancedQuote`: a quote stays open and would swallow what follows.
 * `NotExpressible`: the kernel has no spelling for it. `TooLong`: the kernel would cut it.
 *
 * @category errors
 */
export class KernelCmdlineError extends Schema.TaggedError<KernelCmdlineError>("@capsa/core/KernelCmdlineError")(
  "KernelCmdlineError",
  {
    reason: Schema.Literal("ControlCharacter", "UnbalancedQuote", "NotExpressible", "TooLong"),
    /** One sentence: what is wrong. */
    detail: Schema.String,
    /** What to do about it. */
    hint: Schema.String
  }
) {
  override get message(): string {
    return this.detail
  }
  get retryable(): boolean {
    return false
  }
}
