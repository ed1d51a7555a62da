/** What is wrong with a description of a machine. */
import * as Schema from "effect/Schema"
import { BackendName } from "./BackendName.ts"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"

/** One thing wrong: where in the configuration, what, and what would be right. @category models */
export const VmConfigProblem = Schema.Struct({
  /** Dotted path of the field: "boot.kernel", "disks.0.path". */
  path: Schema.String,
  detail: Schema.String,
  hint: Schema.String,
  /** There where the value is right but beyond the backend: which backend that is, and which others could. */
  refusal: Schema.optional(Schema.Struct({ backend: BackendName, others: Schema.Array(BackendName) }))
})
/** @category models */
export type VmConfigProblem = typeof VmConfigProblem.Type

/** What each reason means. @category models */
export const reasons = {
  Malformed: {
    happened: "It has unknown fields, or values of the wrong shape.",
    retryable: false,
    remedy: "Correct what `problems` lists: every field, each with what would be right."
  },
  Invalid: {
    happened: "Its values make no machine: a file that isn't there, a size that is too small.",
    retryable: false,
    remedy: "Correct what `problems` lists: every field, each with what would be right."
  },
  Unsupported: {
    happened: "All would be right, but it is beyond this backend.",
    retryable: false,
    remedy: "Ask for less, or use another backend: `capsa backends` tells what each can do."
  }
} as const satisfies FailureReasons

/** @category models */
export const VmConfigErrorReason = schemaOf(reasons)
/** @category models */
export type VmConfigErrorReason = typeof VmConfigErrorReason.Type

/**
 * The configuration cannot be run: all that is wrong with it, found before anything was started.
 *
 * @category errors
 */
export class VmConfigError extends Schema.TaggedError<VmConfigError>("@capsa/core/VmConfigError")("VmConfigError", {
  reason: VmConfigErrorReason,
  problems: Schema.NonEmptyArray(VmConfigProblem)
}) {
  override get message(): string {
    return this.problems.map((problem) => `${problem.path}: ${problem.detail}`).join("; ")
  }
  /** What to do, for the first problem. */
  get hint(): string {
    return this.problems[0].hint
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
