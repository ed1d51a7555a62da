/** What can go wrong while waiting for console output. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"
import { VmExit } from "./VmExit.ts"

/** What each reason means. @category models */
export const reasons = {
  Timeout: {
    happened: "The pattern did not come in time. Nothing was consumed.",
    retryable: true,
    remedy: "Look at `received`: the pattern may not fit what came, or the guest needs more time."
  },
  Ended: {
    happened: "The machine ended before the pattern came.",
    retryable: false,
    remedy: "`exit` tells how it ended, `received` what it said last."
  },
  LoginIncorrect: {
    happened: "The guest refused user and password.",
    retryable: false,
    remedy: "Check both, and on which terminals the guest lets this user log in."
  },
  InvalidInput: {
    happened: "What was to be typed cannot be typed: it presses other keys, or is too long. Nothing was typed.",
    retryable: false,
    remedy: "Leave control characters out; write a long command into a file of the guest, in parts, and run that."
  }
} as const satisfies FailureReasons

/** @category models */
export const ConsoleErrorReason = schemaOf(reasons)
/** @category models */
export type ConsoleErrorReason = typeof ConsoleErrorReason.Type

/**
 * What was waited for did not come. `received` is what had come since the last match (its tail, as text); none of it is
 * lost to the next `expect`.
 *
 * @category errors
 */
export class ConsoleError extends Schema.TaggedError<ConsoleError>("@capsa/core/ConsoleError")("ConsoleError", {
  reason: ConsoleErrorReason,
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
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return reasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
