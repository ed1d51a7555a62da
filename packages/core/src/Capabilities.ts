/** What a backend can do, as data. */
import * as Schema from "effect/Schema"

/** @category models */
export const Capabilities = Schema.Struct({
  /** Guest architectures. */
  architectures: Schema.Array(Schema.Literal("x86_64", "arm64")),
  /** Kernel images that can be booted directly. */
  kernels: Schema.Array(Schema.Literal("bzImage", "vmlinux", "Image")),
  /** Devices the console can be. */
  consoles: Schema.Array(Schema.Literal("serial", "virtio")),
  /** How the guest may learn of its devices. */
  discovery: Schema.Array(Schema.Literal("firmware", "cmdline")),
  maxCpus: Schema.Int,
  maxMemoryMib: Schema.Int,
  pause: Schema.Boolean,
  powerButton: Schema.Boolean,
  /** A guest panic is told by a device, not guessed from the console. */
  panicNotifier: Schema.Boolean,
  /** The host can limit what each machine takes. */
  limits: Schema.Boolean
})
/** @category models */
export type Capabilities = typeof Capabilities.Type
