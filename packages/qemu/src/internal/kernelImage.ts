/** Kernels that QEMU would take and no guest could run. */
import { type KernelPlan, VmBootError, type VmBootErrorReason } from "@capsa/core"
import type { Architecture } from "@capsa/core/KernelCmdline"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

// Offsets in a bzImage's header, from Documentation/arch/x86/boot.rst.
const setupSectors = 0x1f1
const paragraphs = 0x1f4
const magic = 0x202
const headerSize = 0x206

const elfMagic = 0x464c457f
const headerMagic = 0x53726448

// Of an Image's header, from Documentation/arch/arm64/booting.rst.
const imageMagicOffset = 56
const imageMagic = 0x644d5241

/**
 * Fails unless the kernel is one for the guest's architecture. QEMU takes anything else for a kernel from before 1995, or
 * for a program without an operating system.
 */
export const check = Effect.fnUntraced(
  function* (plan: KernelPlan, architecture: Architecture) {
    const fileSystem = yield* FileSystem.FileSystem
    const { size, type } = yield* fileSystem.stat(plan.kernel)
    const refuse = (reason: VmBootErrorReason, { detail, field }: Fault) =>
      new VmBootError({
        reason,
        subject: plan.kernel,
        ...(field === undefined ? {} : { field }),
        detail,
        hint: hints[architecture]
      })
    if (type !== "File") return yield* refuse("KernelUnreadable", { detail: "The kernel is not a file" })
    const file = yield* fileSystem.open(plan.kernel, { flag: "r" })
    const start = Option.getOrElse(yield* file.readAlloc(headerSize), () => new Uint8Array(0))
    const fault = faults[architecture](new DataView(start.buffer, start.byteOffset, start.byteLength), Number(size))
    if (fault !== undefined) return yield* refuse("KernelInvalid", fault)
  },
  Effect.scoped,
  (effect, plan) => Effect.catchTags(effect, { BadArgument: unreadable(plan), SystemError: unreadable(plan) })
)

interface Fault {
  readonly detail: string
  readonly field?: string
}

const isBzImage = (header: DataView): boolean =>
  header.byteLength >= headerSize && header.getUint32(magic, true) === headerMagic

const isImage = (header: DataView): boolean =>
  header.byteLength >= imageMagicOffset + 4 && header.getUint32(imageMagicOffset, true) === imageMagic

/** ELF, or a bzImage as long as its header says: QEMU does not miss the end of one that was cut off. */
const faultOnX86 = (header: DataView, size: number): Fault | undefined => {
  if (header.byteLength >= 4 && header.getUint32(0, true) === elfMagic) return undefined
  if (!isBzImage(header)) {
    const detail = isImage(header)
      ? "The kernel is for arm64, and the machine for x86_64"
      : "The kernel is neither a bzImage nor ELF"
    return { detail, field: "magic" }
  }
  const sectors = header.getUint8(setupSectors) || 4
  const needed = (sectors + 1) * 512 + header.getUint32(paragraphs, true) * 16
  const detail = `The kernel is cut off: it has ${size} bytes, and its header speaks of ${needed}`
  return size < needed ? { detail, field: "syssize" } : undefined
}

/** An Image does not tell how long its file is. */
const faultOnArm64 = (header: DataView): Fault | undefined => {
  if (isImage(header)) return undefined
  const detail = isBzImage(header)
    ? "The kernel is for x86_64, and the machine for arm64"
    : "The kernel is no uncompressed Image for arm64"
  return { detail, field: "magic" }
}

const faults: Readonly<Record<Architecture, (header: DataView, size: number) => Fault | undefined>> = {
  x86_64: faultOnX86,
  arm64: faultOnArm64
}

const hints: Readonly<Record<Architecture, string>> = {
  x86_64:
    'Give an x86_64 bzImage, or a vmlinux built with CONFIG_PVH; for arm64 guests use Qemu.layer({ architecture: "arm64" }).',
  arm64:
    'Give an uncompressed Image of Linux for arm64 (`gunzip` makes one of an Image.gz); for x86_64 guests use Qemu.layer({ architecture: "x86_64" }).'
}

const unreadable = (plan: KernelPlan) => (cause: PlatformError) =>
  new VmBootError({
    reason: "KernelUnreadable",
    subject: plan.kernel,
    operation: cause._tag === "SystemError" ? cause.method : "read",
    detail: "The kernel cannot be read",
    hint: "Check that the file is there and that this user may read it.",
    cause
  })
