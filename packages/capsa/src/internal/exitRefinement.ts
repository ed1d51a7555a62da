import type { VmExit } from "@capsa/core"
import type { Signs } from "./bootSigns.ts"

/** Why capsa itself ended a machine. */
export interface HostActs {
  /** It was killed because its kernel had panicked and stood still. */
  killedStandingStill: boolean
  /** It was stopped because it had lived for its `maxLifetime`. */
  lifetimeOver: boolean
}

/**
 * How a machine ended, with what its console told. A kernel that panics restarts, faults or stands still afterwards, so that
 * backends see a consequence; a machine whose lifetime was over ends as told to.
 */
export const refine = (exit: VmExit, { panic }: Readonly<Signs>, acts: Readonly<HostActs>): VmExit => {
  switch (exit._tag) {
    case "Panic":
      return panic === undefined || exit.message !== undefined ? exit : { _tag: "Panic", message: panic }
    case "Reboot":
    case "Failed":
      return panic === undefined ? exit : { _tag: "Panic", message: panic }
    case "Killed":
      if (acts.killedStandingStill) return { _tag: "Panic", message: panic }
      return acts.lifetimeOver ? lifetimeOver : exit
    case "PowerOff":
      return acts.lifetimeOver ? lifetimeOver : exit
    default:
      return exit
  }
}

const lifetimeOver: VmExit = { _tag: "Killed", reason: "LifetimeOver" }
