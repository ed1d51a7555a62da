/** Why a backend cannot serve on this host. */
import * as Schema from "effect/Schema"
import { BackendName } from "./BackendName.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** @category models */
export const BackendErrorReason = Schema.Literal(
  "DeviceMissing",
  "PermissionDenied",
  "Emulated",
  "HypervisorUnusable",
  "ProgramMissing",
  "ProgramUnusable",
  "LibraryMissing",
  "LibraryMismatch",
  "HostUnsupported",
  "NoneAvailable"
)
/** @category models */
export type BackendErrorReason = typeof BackendErrorReason.Type

/**
 * The backend cannot run a guest here. Nothing was started.
 *
 * @category errors
 */
export class BackendError extends Schema.TaggedError<BackendError>("@capsa/core/BackendError")("BackendError", {
  reason: BackendErrorReason,
  backend: Schema.optional(BackendName),
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  /** The host must be changed first, so trying again does not help. */
  get retryable(): boolean {
    return false
  }
}
