/**
 * What can go wrong with a lab machine, apart from what the command in it does.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Why there is no exit status of the command.
 *
 * - `ToolMissing`: a program that the lab needs is not installed.
 * - `ImageUnavailable`: the kernel or the initrd of the lab could not be built; `cause` is a `GuestError`.
 * - `InvalidMount`: a folder to be shown in the lab does not exist.
 * - `PermissionDenied`: the lab was not started by root.
 * - `FileServerFailed`: the server of the host's files did not come up.
 * - `BootFailed`: the machine did not get as far as starting the command.
 * - `MachineLost`: the machine ended while the command ran: the kernel panicked, say, or something powered it off.
 *
 * With the last two, `cause` holds the end of the kernel's log and QEMU's messages.
 *
 * @since 0.1.0
 * @category models
 */
export const LabErrorReason = Schema.Literal(
  "ToolMissing",
  "ImageUnavailable",
  "InvalidMount",
  "PermissionDenied",
  "FileServerFailed",
  "BootFailed",
  "MachineLost"
)

/**
 * @since 0.1.0
 * @category models
 */
export type LabErrorReason = typeof LabErrorReason.Type

/**
 * The lab machine could not run the command, or was lost while it ran. `subject` names the program, folder or file;
 * `hint` says what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class LabError extends Schema.TaggedError<LabError>("@capsa/lab/LabError")("LabError", {
  reason: LabErrorReason,
  subject: Schema.String,
  hint: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `${phrases[this.reason]}: ${this.subject}`
  }
}

const phrases: Record<LabErrorReason, string> = {
  ToolMissing: "needed by the lab but not installed",
  ImageUnavailable: "the lab's kernel or initrd cannot be built",
  InvalidMount: "no folder to show in the lab",
  PermissionDenied: "only root may do this",
  FileServerFailed: "the host's files cannot be served to the lab",
  BootFailed: "the lab machine did not boot",
  MachineLost: "the lab machine ended while it ran"
}
