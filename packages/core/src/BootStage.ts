/** How far a boot has come. */
import * as Schema from "effect/Schema"

/**
 * In order: the hypervisor holds an empty machine; kernel and tables are in its memory; the first instruction runs;
 * the kernel says its first word; the first process starts; the agent answers.
 *
 * A machine is *ready* at `init`. The sign of it is the kernel's announcement "Run … as init process", unless the kernel
 * then fails to run it, or the line `capsa: init`, which the built-in guest's init prints. A kernel told to be `quiet`
 * announces nothing: then only an init that prints that line shows.
 *
 * @category models
 */
export const BootStageName = Schema.Literal("created", "loaded", "started", "kernel", "init", "agent")
/** @category models */
export type BootStageName = typeof BootStageName.Type

/** A stage reached. `atMs`: milliseconds since the launch was asked for, from a monotonic clock. @category models */
export const BootStage = Schema.Struct({ name: BootStageName, atMs: Schema.Number })
/** @category models */
export type BootStage = typeof BootStage.Type
