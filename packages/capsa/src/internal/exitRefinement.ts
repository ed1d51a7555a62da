import type { VmExit } from "@capsa/core"
import type { Signs } from "./bootSigns.ts"

/**
 * How a machine ended, with what its console told. A kernel that panics restarts, faults or stands still afterwards, so that
 * backends see a consequence; `stoodStill` says that it was killed because of it.
 */
export const refine = (exit: VmExit, { panic }: Readonly<Signs>, stoodStill: boolean): VmExit => {
  switch (exit._tag) {
    case "Panic":
      return panic === undefined || exit.message !== undefined ? exit : { _tag: "Panic", message: panic }
    case "Reboot":
    case "Failed":
      return panic === undefined ? exit : { _tag: "Panic", message: panic }
    case "Killed":
      return stoodStill ? { _tag: "Panic", message: panic } : exit
    default:
      return exit
  }
}
