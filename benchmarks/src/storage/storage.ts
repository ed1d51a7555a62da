/**
 * What does a request of a disk, and a file of a shared folder, cost a guest on capsa beside the same guest on QEMU? In
 * the lab's virtual time.
 */
import { measured } from "../lab/sides.ts"

const program = (name: string) => Bun.fileURLToPath(new URL(name, import.meta.url))

export const disk = measured(program("diskInside.ts"), ["QEMU microvm", "QEMU q35"])

export const share = measured(program("shareInside.ts"), ["QEMU, virtiofsd"])
