import type { VmExit } from "@capsa/core"
import * as Effect from "effect/Effect"
import type { Guest } from "../Simulated.ts"

/**
 * A guest that talks like capsa's own: kernel messages, `capsa: init`, a shell with the prompt `capsa# ` that knows
 * `echo`, `nproc`, `poweroff -f`, `reboot -f` and how to make the kernel panic. The power button switches it off.
 */
export const linux = (guest: Guest): Effect.Effect<VmExit> =>
  Effect.gen(function* () {
    yield* guest.print("[    0.000000] Linux version 6.1.0-simulated\r\n")
    yield* guest.print("[    0.100000] Run /init as init process\r\n")
    yield* guest.print("capsa: init\r\n")
    return yield* Effect.raceFirst(shell(guest), Effect.as(guest.powerButton, { _tag: "PowerOff" } as const))
  })

const shell = (guest: Guest): Effect.Effect<VmExit> =>
  Effect.gen(function* () {
    while (true) {
      yield* guest.print("capsa# ")
      const line = yield* guest.readLine
      const { says, exit } = answer(guest, line)
      yield* guest.print(`${line}\r\n${says}`)
      if (exit !== undefined) return exit
    }
  })

const panic = "[    1.000000] Kernel panic - not syncing: sysrq triggered crash\r\n"

const answer = ({ plan }: Guest, line: string): { readonly says: string; readonly exit?: VmExit } => {
  const [command = "", ...words] = line.split(" ")
  switch (line) {
    case "poweroff -f":
      return { says: "", exit: { _tag: "PowerOff" } }
    case "reboot -f":
      return { says: "", exit: { _tag: "Reboot" } }
    case "echo c > /proc/sysrq-trigger":
      return { says: panic, exit: { _tag: "Reboot" } }
    case "nproc":
      return { says: `${plan.cpus}\r\n` }
    case "":
      return { says: "" }
    default:
      return { says: command === "echo" ? `${words.join(" ")}\r\n` : `sh: ${command}: not found\r\n` }
  }
}
