/** What a sandbox is measured by, on both sides. */
import * as Schema from "effect/Schema"

/** Milliseconds since the launch was asked for: the agent has greeted, the first command's result is there. */
export const Samples = Schema.Struct({ agent: Schema.Number, result: Schema.Number })
export type Samples = typeof Samples.Type

export const Sides = Schema.Struct({ capsa: Schema.Array(Samples), qemu: Schema.Array(Samples) })
export type Sides = typeof Sides.Type
