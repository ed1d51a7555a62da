/** A machine with every decision made: the same for all backends, which translate it and add nothing. */
import * as Schema from "effect/Schema"

/** Plain data, so that it can cross a process or a wire. Paths are absolute and were readable when it was made. @category models */
export const BootPlan = Schema.Struct({
  /** UUID of the machine. */
  id: Schema.String,
  name: Schema.String,
  cpus: Schema.Int,
  memoryMib: Schema.Int,
  kernel: Schema.String,
  initrd: Schema.optional(Schema.String),
  /** The whole kernel command line, within the limit. */
  cmdline: Schema.String,
  /** The device that is the console: 16550 UART (ttyS0) or virtio-console (hvc0). The other may carry early output. */
  console: Schema.Literal("serial", "virtio"),
  /** Firmware tables (ACPI, device tree), or the command line for kernels without ACPI. */
  discovery: Schema.Literal("firmware", "cmdline")
})
/** @category models */
export type BootPlan = typeof BootPlan.Type
