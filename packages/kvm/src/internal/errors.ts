/** What a failure of the library means for somebody who wants a machine, and what to do about it. */
import { BackendError, type BackendErrorReason, VmBootError, type VmBootErrorReason } from "@capsa/core"
import { DeviceFailure, type NativeError, type NativeStatus } from "@capsa/native"

/** Architectures of hosts that the monitor runs on. */
export type Architecture = "x86_64" | "arm64"

export const host: Architecture = process.arch === "arm64" ? "arm64" : "x86_64"

const deviceMissing: Readonly<Record<Architecture, string>> = {
  x86_64:
    "Load the module (`sudo modprobe kvm-intel` or `kvm-amd`) and switch virtualisation on in the firmware; in a virtual machine, ask its host for nested virtualisation. Without KVM use the QEMU backend.",
  arm64:
    "The kernel has KVM only if it was started at exception level 2: see `dmesg | grep -i kvm` (`HYP mode not available` says that it was not). On hardware, look for a firmware that starts it so; a virtual machine needs nested virtualisation, which few hosts offer. Without KVM use the QEMU backend."
}

const kernelInvalid: Readonly<Record<Architecture, string>> = {
  x86_64: "Give a Linux bzImage (boot protocol 2.12 or newer, 64-bit) or an uncompressed ELF vmlinux for x86_64.",
  arm64:
    "Give an uncompressed, little-endian Image of Linux for arm64; `gunzip` makes one of an Image.gz, which many distributions call vmlinuz."
}

const backendMeanings: Partial<Record<NativeStatus, DeviceFailure.Meaning<BackendErrorReason>>> = {
  DeviceMissing: {
    reason: "DeviceMissing",
    hint: deviceMissing[host]
  },
  DeviceDenied: {
    reason: "PermissionDenied",
    hint: "Join the group that owns the device: `sudo usermod -aG kvm $USER`, then log in again (a running program keeps its old groups). In a container, pass `--device /dev/kvm`."
  },
  DeviceUnusable: {
    reason: "HypervisorUnusable",
    hint: "Update the host's kernel: capsa needs Linux 4.12 or newer with KVM's in-kernel interrupt chip."
  },
  LibraryMissing: {
    reason: "LibraryMissing",
    hint: "Build it with `bun run build`, or point CAPSA_LIBRARY at it."
  },
  LibraryMismatch: {
    reason: "LibraryMismatch",
    hint: "Rebuild it with `bun run build`; if CAPSA_LIBRARY is set, it names a library of another version."
  }
}

const otherBackendMeaning: DeviceFailure.Meaning<BackendErrorReason> = {
  reason: "HypervisorUnusable",
  hint: "Run `capsa doctor`; the kernel's log (`dmesg`) may say more. Without KVM use the QEMU backend."
}

/** For a failure before anything was asked to boot. */
export const probeError = (error: NativeError): BackendError => {
  const meaning = backendMeanings[error.status] ?? otherBackendMeaning
  return new BackendError({ ...meaning, backend: "kvm", ...fieldsOf(error) })
}

const bootMeanings: Partial<Record<NativeStatus, DeviceFailure.Meaning<VmBootErrorReason>>> = {
  ...DeviceFailure.meanings,
  KernelFile: { reason: "KernelUnreadable", hint: "Check that boot.kernel names a readable file." },
  KernelInvalid: {
    reason: "KernelInvalid",
    hint: kernelInvalid[host]
  },
  InitrdFile: { reason: "InitrdUnreadable", hint: "Check that boot.initrd names a readable file." },
  InitrdInvalid: { reason: "InitrdInvalid", hint: "Give the machine more memory, or a smaller initrd." },
  CmdlineInvalid: { reason: "CmdlineInvalid", hint: "Shorten boot.cmdline." },
  MemoryInvalid: { reason: "MemoryInvalid", hint: "Choose another size for memory." },
  DiskFile: {
    reason: "DiskUnavailable",
    hint: "Check that disks[].path names an image that this user may open; what is written to an ephemeral disk needs a folder: TMPDIR, else /var/tmp."
  },
  Limit: { reason: "HostResources", hint: "Wait until other machines have ended." },
  NoMemory: { reason: "HostResources", hint: "Free memory on the host, or start a smaller machine." },
  State: { reason: "GuestEnded", hint: "It was killed, or its backend closed, while it started: launch another." }
}

const otherBootMeaning: DeviceFailure.Meaning<VmBootErrorReason> = {
  reason: "HostFailure",
  hint: "The host refused a system call; its error name and the kernel's log (`dmesg`) say more."
}

const shortage: DeviceFailure.Meaning<VmBootErrorReason> = {
  reason: "HostResources",
  hint: "End other machines, start a smaller one, or raise the limit that is reached: memory, descriptors (`ulimit -n`), processes (`ulimit -u`)."
}

/** For a failure of a boot. A vanished device is told as the backend's failure. */
export const bootError = (error: NativeError): BackendError | VmBootError => {
  const isShort = DeviceFailure.isShort(error)
  if (backendMeanings[error.status] !== undefined && !isShort) return probeError(error)
  const meaning = isShort ? shortage : (bootMeanings[error.status] ?? otherBootMeaning)
  return new VmBootError({ ...meaning, stage: error.stage, ...fieldsOf(error) })
}

const fieldsOf = (error: NativeError) => ({
  detail: error.detail,
  operation: error.operation,
  subject: error.subject,
  field: error.field,
  errno: error.errno,
  cause: error
})
