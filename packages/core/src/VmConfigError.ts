/** What is wrong with a description of a machine. */
import * as Schema from "effect/Schema"
import { BackendName } from "./BackendName.ts"

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

/**
 * The configuration cannot be run: all that is wrong with it, found before anything was started.
 *
 * @category errors
 */
export class VmConfigError extends Schema.TaggedError<VmConfigError>("@capsa/core/VmConfigError")("VmConfigError", {
  reason: Schema.Literal("Malformed", "Invalid", "Unsupported"),
  problems: Schema.NonEmptyArray(VmConfigProblem)
}) {
  override get message(): string {
    return this.problems.map((problem) => `${problem.path}: ${problem.detail}`).join("; ")
  }
  /** What to do, for the first problem. */
  get hint(): string {
    return this.problems[0].hint
  }
  get retryable(): boolean {
    return false
  }
}
