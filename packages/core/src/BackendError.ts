/** Why a backend cannot serve on this host. */
import * as Schema from "effect/Schema"
import { BackendName } from "./BackendName.ts"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. The host must be changed first, so trying again never helps. @category models */
export const reasons = {
  DeviceMissing: {
    happened: "There is no `/dev/kvm`.",
    retryable: false,
    remedy:
      "Load the module (`sudo modprobe kvm-intel`, or `kvm-amd`) and switch virtualization on in the firmware. In a virtual machine, its host must allow nested virtualization. Or use QEMU."
  },
  PermissionDenied: {
    happened: "This user may not open `/dev/kvm`.",
    retryable: false,
    remedy: "`sudo usermod -aG kvm $USER`, then log in again. In a container: `--device /dev/kvm`."
  },
  Emulated: {
    happened:
      "`/dev/kvm` opens, but the host interprets the guest's kernel code instead of running it: some 600 ns an instruction, where hardware takes less than one. Cloud machines without nested virtualization look like this. Linux doesn't come up on it.",
    retryable: false,
    remedy: "Use QEMU (`--backend qemu`), which `auto` does by itself, or another host."
  },
  HypervisorUnusable: {
    happened: "KVM is there and lacks something, or failed.",
    retryable: false,
    remedy: "Update the host's kernel; look at `dmesg`. Or use QEMU."
  },
  ProgramMissing: {
    happened: "There is no `qemu-system-x86_64` on `PATH`.",
    retryable: false,
    remedy: "Debian and Ubuntu: `sudo apt-get install qemu-system-x86`. macOS: `brew install qemu`."
  },
  ProgramUnusable: {
    happened: "QEMU is too old, lacks a device, or may not be executed.",
    retryable: false,
    remedy: "Install the distribution's full package, 7.2 or later."
  },
  LibraryMissing: {
    happened: "The native library isn't built, or can't be loaded.",
    retryable: false,
    remedy: "`bun run build`. If `CAPSA_LIBRARY` is set, it names the wrong file."
  },
  LibraryMismatch: {
    happened: "The native library is of another version than the TypeScript that calls it.",
    retryable: false,
    remedy: "`bun run build`. If `CAPSA_LIBRARY` is set, it names an old file."
  },
  UnknownBackend: {
    happened: "`CAPSA_BACKEND` names a backend that doesn't exist on this platform.",
    retryable: false,
    remedy: "Set it to `auto` or to one that `capsa backends` lists, or unset it."
  },
  NoneAvailable: {
    happened: "None of the backends works here; the message lists each with its reason.",
    retryable: false,
    remedy: "Mend one of them; QEMU is the quickest."
  }
} as const satisfies FailureReasons

/** @category models */
export const BackendErrorReason = schemaOf(reasons)
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
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return reasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
