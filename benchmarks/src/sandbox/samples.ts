/** What a sandbox is measured by, on both sides. */
import * as Schema from "effect/Schema"

/** Milliseconds since the launch was asked for: the agent has greeted, the first command's result is there. */
export const Samples = Schema.Struct({ agent: Schema.Number, result: Schema.Number })
export type Samples = typeof Samples.Type

/** `first`: capsa's first of the process; the others are of one that has launched many. */
export const Sides = Schema.Struct({ first: Samples, capsa: Schema.Array(Samples), qemu: Schema.Array(Samples) })
export type Sides = typeof Sides.Type
