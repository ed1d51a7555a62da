/**
 * What can go wrong when guest images are built.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Why an image could not be built.
 *
 * - `PackageUnavailable`: the system's package sources do not offer a package, or it could not be downloaded.
 * - `ToolMissing`: a program or header that the build needs is not installed.
 * - `BuildFailed`: a build step ran and failed; `cause` holds the end of its output.
 * - `CacheUnusable`: the cache folder cannot be created, locked or written.
 *
 * @since 0.1.0
 * @category models
 */
export const GuestErrorReason = Schema.Literal("PackageUnavailable", "ToolMissing", "BuildFailed", "CacheUnusable")

/**
 * @since 0.1.0
 * @category models
 */
export type GuestErrorReason = typeof GuestErrorReason.Type

/**
 * A guest image could not be built. `subject` names the package, tool, step or folder; `hint` says what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class GuestError extends Schema.TaggedError<GuestError>("@capsa/guest/GuestError")("GuestError", {
  reason: GuestErrorReason,
  subject: Schema.String,
  hint: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `${phrases[this.reason]}: ${this.subject}`
  }
}

const phrases: Record<GuestErrorReason, string> = {
  PackageUnavailable: "package not available",
  ToolMissing: "needed for building guest images but not installed",
  BuildFailed: "building a guest image failed",
  CacheUnusable: "the cache folder cannot be used"
}
