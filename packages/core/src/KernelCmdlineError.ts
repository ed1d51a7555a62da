/** What is wrong with a kernel command line. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"

/** What each reason means. In a configuration they come as a problem of `boot.cmdline`. @category models */
export const reasons = {
  ControlCharacter: {
    happened: "It holds a line end, NUL or the like.",
    retryable: false,
    remedy: "Remove it."
  },
  UnbalancedQuote: {
    happened: "A quote stays open and would swallow what follows.",
    retryable: false,
    remedy: 'Close it; the kernel knows no escape for a `"`.'
  },
  NotExpressible: {
    happened: "The kernel has no spelling for it.",
    retryable: false,
    remedy: 'Give names without spaces and quotes, values without `"`, and no second `--`.'
  },
  TooLong: {
    happened: "The kernel would cut it off.",
    retryable: false,
    remedy: "Shorten it; settings of user space can go into a file of the initrd."
  }
} as const satisfies FailureReasons

/** @category models */
export const KernelCmdlineErrorReason = schemaOf(reasons)
/** @category models */
export type KernelCmdlineErrorReason = typeof KernelCmdlineErrorReason.Type

/**
 * A kernel command line that the kernel would not read as it was meant.
 *
 * @category errors
 */
export class KernelCmdlineError extends Schema.TaggedError<KernelCmdlineError>("@capsa/core/KernelCmdlineError")(
  "KernelCmdlineError",
  {
    reason: KernelCmdlineErrorReason,
    /** One sentence: what is wrong. */
    detail: Schema.String,
    /** What to do about it. */
    hint: Schema.String
  }
) {
  override get message(): string {
    return this.detail
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
