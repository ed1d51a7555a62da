/**
 * What do streams and questions cost a guest on capsa, by its user network beside QEMU's, and by vsock? In the lab's
 * virtual time.
 */
import { measured } from "../lab/sides.ts"

export const net = measured(Bun.fileURLToPath(new URL("inside.ts", import.meta.url)), ["QEMU microvm"])
