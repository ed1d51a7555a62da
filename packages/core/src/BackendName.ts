/** The names of what can run a machine. */
import * as Schema from "effect/Schema"

/** @category models */
export const BackendName = Schema.Literal("kvm", "vz", "qemu", "simulated")
/** @category models */
export type BackendName = typeof BackendName.Type
