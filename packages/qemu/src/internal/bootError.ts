/** From what QEMU said before it gave up to why a machine did not come up. */
import { totalmem } from "node:os"
import { BackendError, type BootPlan, type BootStageName, VmBootError, type VmBootErrorReason } from "@capsa/core"
import { isShortage } from "@capsa/core/VmBootError"
import { DeviceFailure, type NativeError } from "@capsa/native"
import { sentence } from "./exit.ts"
import type { ProcessExit, SpawnError } from "./supervised.ts"

interface Cause {
  readonly says: RegExp
  /** What else must hold. */
  readonly fits?: (plan: BootPlan) => boolean
  readonly reason: VmBootErrorReason
  /** What the plan says wrong; or, for the last two, a file that QEMU's text names by the first group of `says`. */
  readonly subject: "kernel" | "initrd" | "memoryMib" | "cpus" | "discovery" | "disks" | "boot.firmware"
  readonly detail: string
  readonly hint: string
}

const namedByQemu: ReadonlySet<Cause["subject"]> = new Set(["disks", "boot.firmware"])

const threadRefused = /qemu_thread_create/

/** The first that fits counts. The texts are QEMU's own, 7.2 and later. */
const causes: ReadonlyArray<Cause> = [
  {
    says: /could not (open|load) kernel.*(No such file|Permission denied|Is a directory|Input\/output error)/,
    reason: "KernelUnreadable",
    subject: "kernel",
    detail: "The kernel cannot be read",
    hint: "Check that the file is there and that this user may read it."
  },
  {
    says: /invalid kernel header|could not load kernel|loading uncompressed kernel|loading elf kernel/i,
    reason: "KernelInvalid",
    subject: "kernel",
    detail: "The kernel is no image that QEMU can boot",
    hint: "Give an x86_64 bzImage, or a vmlinux built with CONFIG_PVH; for arm64, an uncompressed Image."
  },
  {
    says: /initrd is too large/,
    reason: "InitrdInvalid",
    subject: "initrd",
    detail: "The initrd does not fit into the guest's memory",
    hint: "Give the machine more memory, or a smaller initrd."
  },
  {
    says: /error reading initrd|could not (open|load) initrd/,
    reason: "InitrdUnreadable",
    subject: "initrd",
    detail: "The initrd cannot be read",
    hint: "Check that the file is there and that this user may read it."
  },
  {
    says: /cannot set up guest memory/,
    fits: ({ memoryMib }) => memoryMib * 2 ** 20 > totalmem(),
    reason: "MemoryInvalid",
    subject: "memoryMib",
    detail: "The host has less memory than that in all",
    hint: "Give the machine less memory."
  },
  {
    says: /cannot set up guest memory|Cannot allocate memory/,
    reason: "HostResources",
    subject: "memoryMib",
    detail: "The host has not enough memory for the guest",
    hint: "Give the machine less memory, or end others."
  },
  {
    says: /phys-bits too low|maximum memory size|Invalid memory size|out of range for parameter 'size'/i,
    reason: "MemoryInvalid",
    subject: "memoryMib",
    detail: "QEMU cannot give a guest that much memory",
    hint: "Give the machine less memory."
  },
  {
    says: /-drive if=pflash.*Could not open '(.*)'/,
    reason: "FirmwareUnavailable",
    subject: "boot.firmware",
    detail: "The firmware, or the file of its variables, cannot be opened",
    hint: "Check that the file is there and that this user may open it; `sudo apt install ovmf` installs the firmware."
  },
  {
    says: /system firmware block device|combined size of system firmware/,
    reason: "FirmwareUnavailable",
    subject: "boot.firmware",
    detail: "The firmware is no flash image, or too large",
    hint: "Give the option `firmware` of Qemu.layer raw images, or leave it out: what is installed is found."
  },
  {
    says: /Failed to get .* lock\s+Is another process using the image \[(.*)\]\?/,
    reason: "DiskInUse",
    subject: "disks",
    detail: "Another program uses the image",
    hint: "End it, or make the disk readOnly or ephemeral there and here."
  },
  {
    says: /-drive .*Could not open '(.*)'/,
    reason: "DiskUnavailable",
    subject: "disks",
    detail: "The image cannot be opened",
    hint: "Check that disks[].path names an image that this user may open."
  },
  {
    says: /No 'virtio-bus' bus found|no slot\/function available|PCI: no slot/,
    reason: "Unsupported",
    subject: "discovery",
    detail: "QEMU has no room for that many devices",
    hint: 'Give the machine fewer disks, shares and other devices; with discovery "firmware" more fit.'
  },
  {
    says: threadRefused,
    reason: "HostResources",
    subject: "cpus",
    detail: "The host gives QEMU no more threads",
    hint: "End other processes, or raise the limit on them (`ulimit -u`)."
  },
  {
    says: /Invalid SMP CPUs|maxcpus/,
    reason: "Unsupported",
    subject: "cpus",
    detail: "QEMU cannot give a guest that many processors",
    hint: "Give the machine fewer cpus."
  }
]

/** Why the machine of a plan did not come up, when QEMU ended, perhaps as `end` says, and `stderr` is what it said last. */
export const fromStderr = (
  stderr: string,
  plan: BootPlan,
  stage: BootStageName | undefined,
  end?: ProcessExit
): BackendError | VmBootError => {
  const backend = backendError(stderr)
  if (backend !== undefined) return backend
  if (lacking.test(stderr)) return incomplete(stderr)
  if (plan.limits?.pids !== undefined && threadRefused.test(stderr)) return limitExceeded("pids", plan, stage)
  const cause = causes.find(({ says, fits }) => says.test(stderr) && (fits?.(plan) ?? true))
  if (cause === undefined) {
    const unexplained = stderr === "" ? "QEMU ended without a word." : stderr
    return hostFailure(end?.signal === undefined ? unexplained : sentence(end, stderr), stage)
  }
  const { detail, hint, reason, subject } = cause
  const said: Readonly<Record<string, unknown>> = plan
  return new VmBootError({
    reason,
    stage,
    subject: namedByQemu.has(subject) ? cause.says.exec(stderr)?.[1] : String(said[subject]),
    field: subject,
    operation: "qemu-system-x86_64",
    detail,
    hint,
    cause: stderr
  })
}

const lacking = /unsupported machine type|is not a valid device model name/

/** It was tried out with another machine type, or has been replaced since. */
const incomplete = (stderr: string): BackendError =>
  new BackendError({
    reason: "ProgramUnusable",
    backend: "qemu",
    subject: "qemu-system-x86_64",
    detail: `This QEMU lacks what the machine needs: ${stderr}`,
    hint: "Install a complete QEMU: `sudo apt install qemu-system-x86`, `brew install qemu`."
  })

/** QEMU ended at a limit of the plan before the machine was up. */
export const limitExceeded = (
  limit: "memory" | "pids",
  plan: BootPlan,
  stage: BootStageName | undefined
): VmBootError =>
  new VmBootError({
    reason: "LimitExceeded",
    stage,
    subject: String(plan.limits?.[limit]),
    field: `limits.${limit}`,
    operation: "qemu-system-x86_64",
    detail: "QEMU needs more than this limit to start the machine",
    hint: `Raise ${limit === "memory" ? `limits.memory: it holds for the guest's memory, here ${plan.memoryMib} MiB, and all that QEMU needs` : "limits.pids: QEMU has a thread for each processor and a few more"}.`
  })

/** QEMU is there and could not carry the boot through for a reason of the host's. */
export const hostFailure = (what: string, stage: BootStageName | undefined): VmBootError =>
  new VmBootError({
    reason: "HostFailure",
    stage,
    operation: "qemu-system-x86_64",
    detail: `QEMU could not start the machine: ${what}`,
    hint: "Run `capsa doctor`; it says whether QEMU works on this host."
  })

/** What the native library serves for the machine could not be made. */
export const serviceFailed = (error: NativeError): VmBootError =>
  new VmBootError({
    ...serviceMeaning(error),
    detail: error.detail,
    operation: error.operation,
    subject: error.subject,
    field: error.field,
    errno: error.errno,
    cause: error
  })

const serviceMeaning = (error: NativeError) => {
  const { status } = error
  if (DeviceFailure.isShort(error) || status === "NoMemory" || status === "Limit")
    return {
      reason: "HostResources",
      hint: "End other machines, or raise the limit on descriptors (`ulimit -n`)."
    } as const
  return (
    DeviceFailure.meanings[status] ??
    ({ reason: "HostFailure", hint: "Run `capsa doctor`; it says whether the native library works." } as const)
  )
}

const complaintOfKvm = /KVM kernel module|failed to initialize kvm|ioctl\(KVM_|invalid accelerator kvm/i

/** What is wrong with the host, if it is for that that nothing can run. */
export const backendError = (stderr: string): BackendError | undefined => {
  const missing = /^(?:setpriv: failed to execute|sh: .*exec:) (.*): (?:No such file or directory|not found)$/m.exec(
    stderr
  )?.[1]
  return missing === undefined ? kvmError(stderr) : programMissing(missing)
}

const kvmError = (stderr: string): BackendError | undefined => {
  if (!complaintOfKvm.test(stderr)) return undefined
  const common = { backend: "qemu", subject: "/dev/kvm", operation: "-accel kvm" } as const
  if (/Permission denied/.test(stderr)) {
    return new BackendError({
      ...common,
      reason: "PermissionDenied",
      errno: "EACCES",
      detail: "QEMU may not open /dev/kvm",
      hint: 'Add yourself to the device\'s group: `sudo usermod -aG kvm $USER`, then log in again. Or use accel: "tcg".'
    })
  }
  if (/No such file|No such device/.test(stderr)) {
    return new BackendError({
      ...common,
      reason: "DeviceMissing",
      errno: "ENOENT",
      detail: "This host has no /dev/kvm",
      hint: 'Load the kernel module (`sudo modprobe kvm_intel` or `kvm_amd`), or use accel: "tcg".'
    })
  }
  return new BackendError({
    ...common,
    reason: "HypervisorUnusable",
    detail: `QEMU cannot use KVM here: ${stderr}`,
    hint: 'Use accel: "tcg".'
  })
}

/** QEMU is not there, or the host would not start it. */
export const spawnFailed = ({ cause, errno, program }: SpawnError): BackendError =>
  errno === "ENOENT"
    ? programMissing(program)
    : new BackendError({
        reason: "ProgramUnusable",
        backend: "qemu",
        subject: program,
        operation: "spawn",
        errno,
        detail: "QEMU could not be started",
        hint: "Check that the file is executable and that this user may start more processes (`ulimit -u`).",
        cause
      })

/** The same for a machine, where a shortage of the host is no fault of QEMU's. */
export const spawnFailedForBoot = (error: SpawnError): BackendError | VmBootError =>
  isShortage(error.errno)
    ? new VmBootError({
        reason: "HostResources",
        subject: error.program,
        operation: "spawn",
        errno: error.errno,
        detail: "The host has no room for another QEMU",
        hint: "End other machines, or raise the limit: processes (`ulimit -u`), descriptors (`ulimit -n`).",
        cause: error.cause
      })
    : spawnFailed(error)

/** @category errors */
export const programMissing = (program: string): BackendError =>
  new BackendError({
    reason: "ProgramMissing",
    backend: "qemu",
    subject: program,
    detail: "QEMU is not installed",
    hint: `Install it: \`sudo apt install ${debianPackage(program)}\` on Debian and Ubuntu, \`brew install qemu\` on macOS.`
  })

/** The package that has a program of QEMU's by this name. */
export const debianPackage = (program: string): string =>
  program.endsWith("aarch64") ? "qemu-system-arm" : "qemu-system-x86"
