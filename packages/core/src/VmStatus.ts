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

/**
 * What may follow each state, on every backend: nothing else ever does. A machine begins as `Running`.
 *
 * @category models
 */
export const transitions = {
  Running: ["Paused", "Stopping", "Ended"],
  Paused: ["Running", "Stopping", "Ended"],
  Stopping: ["Ended"],
  Ended: []
} as const satisfies Record<VmStatus["_tag"], ReadonlyArray<VmStatus["_tag"]>>

/** Whether {@link transitions} lets one state follow another. */
export const mayFollow = (from: VmStatus["_tag"], to: VmStatus["_tag"]): boolean =>
  transitions[from].some((next) => next === to)
