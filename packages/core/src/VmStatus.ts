/** What a machine is doing. */
import * as Schema from "effect/Schema"
import { VmExit } from "./VmExit.ts"

/** Its processors run. @category models */
export const Running = Schema.TaggedStruct("Running", {})

/** Its processors stand. @category models */
export const Paused = Schema.TaggedStruct("Paused", {})

/** It was asked to end, or is being ended. @category models */
export const Stopping = Schema.TaggedStruct("Stopping", {})

/** It is over, and stays so. @category models */
export const Ended = Schema.TaggedStruct("Ended", { exit: VmExit })

/** The states of a machine that came up. @category models */
export const VmStatus = Schema.Union(Running, Paused, Stopping, Ended)
/** @category models */
export type VmStatus = typeof VmStatus.Type
