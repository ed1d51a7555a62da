/** Kernels that QEMU would take and no guest could run. */
import { type KernelPlan, VmBootError, type VmBootErrorReason } from "@capsa/core"
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

/**
 * Fails unless the kernel is ELF, or a bzImage as long as its header says. QEMU takes anything else for a kernel from
 * before 1995, and does not miss the end of one that was cut off.
 */
export const check = Effect.fnUntraced(
  function* (plan: KernelPlan) {
    const fileSystem = yield* FileSystem.FileSystem
    const { size, type } = yield* fileSystem.stat(plan.kernel)
    if (type !== "File") return yield* refuse(plan, "KernelUnreadable", "The kernel is not a file")
    const file = yield* fileSystem.open(plan.kernel, { flag: "r" })
    const start = Option.getOrElse(yield* file.readAlloc(headerSize), () => new Uint8Array(0))
    const header = new DataView(start.buffer, start.byteOffset, start.byteLength)
    if (header.byteLength >= 4 && header.getUint32(0, true) === elfMagic) return
    if (header.byteLength < headerSize || header.getUint32(magic, true) !== headerMagic) {
      return yield* refuse(plan, "KernelInvalid", "The kernel is neither a bzImage nor ELF", "magic")
    }
    const sectors = header.getUint8(setupSectors) || 4
    const needed = (sectors + 1) * 512 + header.getUint32(paragraphs, true) * 16
    if (Number(size) < needed) {
      const detail = `The kernel is cut off: it has ${size} bytes, and its header speaks of ${needed}`
      return yield* refuse(plan, "KernelInvalid", detail, "syssize")
    }
  },
  Effect.scoped,
  (effect, plan) => Effect.catchTags(effect, { BadArgument: unreadable(plan), SystemError: unreadable(plan) })
)

const refuse = (plan: KernelPlan, reason: VmBootErrorReason, detail: string, field?: string) =>
  new VmBootError({
    reason,
    subject: plan.kernel,
    ...(field === undefined ? {} : { field }),
    detail,
    hint: "Give an x86_64 bzImage, or a vmlinux built with CONFIG_PVH."
  })

const unreadable = (plan: KernelPlan) => (cause: PlatformError) =>
  new VmBootError({
    reason: "KernelUnreadable",
    subject: plan.kernel,
    operation: cause._tag === "SystemError" ? cause.method : "read",
    detail: "The kernel cannot be read",
    hint: "Check that the file is there and that this user may read it.",
    cause
  })
