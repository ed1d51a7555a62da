/** What a boot is measured by, on both sides. */
import * as Schema from "effect/Schema"

/** Milliseconds since the launch was asked for: first console byte, first process, machine gone. */
export const Samples = Schema.Struct({ kernel: Schema.Number, init: Schema.Number, exit: Schema.Number })
export type Samples = typeof Samples.Type

export const Sides = Schema.Struct({ capsa: Schema.Array(Samples), qemu: Schema.Array(Samples) })
export type Sides = typeof Sides.Type

/**
 * The kernel parameters that capsa is given; QEMU gets the whole command line that capsa makes of them. `reboot=t`: the
 * only way out that QEMU's microvm has without ACPI.
 */
export const bootParameters = "quiet reboot=t tsc=reliable"
