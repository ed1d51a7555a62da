/** How a machine ended. */
import * as Schema from "effect/Schema"

/** The guest switched itself off. `status` is the main process's, where there is one. @category models */
export const PowerOff = Schema.TaggedStruct("PowerOff", { status: Schema.optional(Schema.Int) })

/** The guest asked for a restart; capsa ends the machine instead. @category models */
export const Reboot = Schema.TaggedStruct("Reboot", {})

/** The guest kernel gave up. `message` is the kernel's own, where the console or the device told it. @category models */
export const Panic = Schema.TaggedStruct("Panic", { message: Schema.optional(Schema.String) })

/**
 * The host ended it: `kill`, a closed scope, or a grace period that ran out. `LifetimeOver`: it had lived for its
 * `maxLifetime` and was stopped, whether or not it then obeyed the power button.
 *
 * @category models
 */
export const Killed = Schema.TaggedStruct("Killed", { reason: Schema.optional(Schema.Literal("LifetimeOver")) })

/** The host's memory limit ended it. @category models */
export const OutOfMemory = Schema.TaggedStruct("OutOfMemory", {})

/** The monitor could not go on; `detail` says why in one sentence. @category models */
export const Failed = Schema.TaggedStruct("Failed", { detail: Schema.String })

/** Every way a machine can end; the same value for every waiter. @category models */
export const VmExit = Schema.Union(PowerOff, Reboot, Panic, Killed, OutOfMemory, Failed)
/** @category models */
export type VmExit = typeof VmExit.Type

/** What an exit is, in a word or with what is known of it: "Reboot", "Panic: Attempted to kill init!". */
export const format = (exit: VmExit): string => {
  switch (exit._tag) {
    case "Panic":
      return exit.message === undefined ? "Panic" : `Panic: ${exit.message}`
    case "Failed":
      return `Failed: ${exit.detail}`
    case "PowerOff":
      return exit.status === undefined ? "PowerOff" : `PowerOff, status ${exit.status}`
    case "Killed":
      return exit.reason === undefined ? "Killed" : `Killed: ${exit.reason}`
    default:
      return exit._tag
  }
}
