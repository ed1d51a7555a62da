/** Why a machine did not come up. */
import * as Schema from "effect/Schema"
import { BootStageName } from "./BootStage.ts"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

const checkFile =
  "Check the path and its permissions; the file went away, or changed, after the configuration was checked."

/** What each reason means. Only a shortage of the host passes by itself. @category models */
export const reasons = {
  KernelUnreadable: { happened: "The kernel can't be read.", retryable: false, remedy: checkFile },
  KernelInvalid: {
    happened: "The kernel is no image that this backend boots, is for another architecture, or is cut short.",
    retryable: false,
    remedy:
      "Give a Linux bzImage for x86_64 or an uncompressed ELF vmlinux; for QEMU a vmlinux must have been built with `CONFIG_PVH`. For arm64 give an uncompressed Image."
  },
  InitrdUnreadable: { happened: "The initrd can't be read.", retryable: false, remedy: checkFile },
  InitrdInvalid: {
    happened: "The initrd doesn't fit into the guest's memory, or the guest's kernel could not unpack it.",
    retryable: false,
    remedy:
      "Too large: give the machine more memory. Not unpacked: build it again as a cpio archive (`newc`), compressed in a way that the kernel knows."
  },
  CmdlineInvalid: {
    happened: "The kernel's command line is longer than this kernel takes.",
    retryable: false,
    remedy: "Shorten `boot.cmdline`."
  },
  MemoryInvalid: {
    happened: "The hypervisor can't give a guest that much memory.",
    retryable: false,
    remedy: "Choose another size for `memory`."
  },
  FirmwareUnavailable: {
    happened:
      "The firmware, or the file that keeps its variables, can't be opened or made, or that file was made for another firmware.",
    retryable: false,
    remedy:
      "The message names the file. Install the firmware again (`sudo apt install ovmf`), or name another file in `boot.variables`: one that is missing is made."
  },
  VariablesInUse: {
    happened: "Another machine keeps its firmware's variables in the same file.",
    retryable: false,
    remedy: "End the other machine, give each a file of its own, or leave out `boot.variables`."
  },
  DiskUnavailable: {
    happened: "The image of a disk can't be opened, or is no file or block device as the configuration says.",
    retryable: false,
    remedy: checkFile
  },
  DiskInUse: {
    happened: "Another machine writes to the image, or this one would write to an image that others read.",
    retryable: false,
    remedy:
      "End the other machine, make the disk `readOnly` or `ephemeral` in all of them, or give each an image of its own."
  },
  ShareUnavailable: {
    happened: "A folder to share can't be opened.",
    retryable: false,
    remedy: checkFile
  },
  NetworkUnavailable: {
    happened:
      "The library for user-mode networks is missing, the TAP device can't be used, or the address on the switch is taken.",
    retryable: false,
    remedy:
      "The hint says which: install `libslirp0` (Fedora, Arch: `libslirp`), have the device made with `ip tuntap add dev NAME mode tap user USER`, or leave the address to the switch."
  },
  PortUnavailable: {
    happened: "A port of the host that is to be forwarded is taken, or this user may not listen on it.",
    retryable: false,
    remedy: "End what listens there (`ss -ltnup` shows it) or forward another one; ports below 1024 need a privilege."
  },
  Unsupported: {
    happened: "The hypervisor can't do what the plan asks for.",
    retryable: false,
    remedy: "The message names the field: ask for less, or use another backend."
  },
  GuestUnavailable: {
    happened:
      "The built-in guest couldn't be prepared. It is made from the distribution's packages and kept in the cache folder.",
    retryable: false,
    remedy:
      "`apt-get update` must work, and `CAPSA_CACHE_DIR` (by default `~/.cache/capsa`) must be writable. Elsewhere than on Debian and Ubuntu, name a kernel of your own."
  },
  LimitsUnavailable: {
    happened: "The configuration has `limits`, and this process may not set them.",
    retryable: false,
    remedy:
      "Start the program in a cgroup of its own: `systemd-run --user --scope -p Delegate=yes -- PROGRAM`. The host needs cgroups of version 2. [More](RESOURCES.md#limits)."
  },
  LimitExceeded: {
    happened: "The machine needs more than its `limits` to start.",
    retryable: false,
    remedy: "Raise the limit that `field` names. `limits.memory` holds for the guest's memory and all that QEMU needs."
  },
  HostResources: {
    happened: "The host is short of memory, processes or descriptors.",
    retryable: true,
    remedy:
      "`Vm.launch` has tried again for half a minute. End other machines, raise the limit (`ulimit -n`, `ulimit -u`), or start a smaller machine."
  },
  HostFailure: {
    happened: "The host or the hypervisor failed in the middle of the boot.",
    retryable: false,
    remedy: "The message has the host's words; `capsa doctor` and `dmesg` may say more."
  },
  RootMissing: {
    happened: "The kernel found no root file system to mount.",
    retryable: false,
    remedy:
      "Give an initrd whose `/init` can be executed, or name a root device that exists with `root=`. A kernel without the driver of that device needs an initrd with it."
  },
  InitFailed: {
    happened: "The first process could not be started, or ended at once.",
    retryable: false,
    remedy:
      "Check that it is there and executable in the guest, is for its architecture, and has its interpreter and libraries beside it. It must not end: the kernel panics when it does."
  },
  KernelPanic: {
    happened: "The kernel gave up before the first process ran.",
    retryable: false,
    remedy: "The message is the kernel's own; `consoleTail` has what it said before."
  },
  GuestEnded: {
    happened: "The machine switched itself off, restarted or was killed before the first process ran.",
    retryable: false,
    remedy:
      "Look at `consoleTail`. A restart without a word is a triple fault: the kernel isn't for this machine, is damaged, or has too little memory for itself and the initrd."
  },
  Timeout: {
    happened: "The machine was not ready within the configuration's `readyTimeout`.",
    retryable: false,
    remedy:
      "`stage` and `consoleTail` show where it was. Give it more time; a kernel that is told to be `quiet` shows no sign of its first process."
  }
} as const satisfies FailureReasons

/** @category models */
export const VmBootErrorReason = schemaOf(reasons)
/** @category models */
export type VmBootErrorReason = typeof VmBootErrorReason.Type

/**
 * A machine was described rightly, and the host or the guest could not carry it out. `stage` is the last one reached,
 * absent if the backend told of none; `consoleTail` is the last output. What had been started is gone.
 *
 * @category errors
 */
export class VmBootError extends Schema.TaggedError<VmBootError>("@capsa/core/VmBootError")("VmBootError", {
  reason: VmBootErrorReason,
  stage: Schema.optional(BootStageName),
  consoleTail: Schema.optional(Schema.String),
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

const shortages: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EBUSY"])

/** Whether an error of the host is a shortage that passes by itself: of processes, descriptors, memory. */
export const isShortage = (errno: string | undefined): boolean => errno !== undefined && shortages.has(errno)
