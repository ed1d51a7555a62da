import type { VmExit } from "@capsa/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Guest, Script } from "../Simulated.ts"

/** How a simulated Linux behaves. Times count from the event before; none is spent on what is left out. @category models */
export interface LinuxOptions {
  /** Until the kernel's first word. */
  readonly kernelAfter?: Duration.DurationInput | undefined
  /** From there until the first process. */
  readonly initAfter?: Duration.DurationInput | undefined
  /** From there until the prompt. */
  readonly promptAfter?: Duration.DurationInput | undefined
  /** From the press of the power button until it is off; `never`: the button is ignored. */
  readonly powerOffAfter?: Duration.DurationInput | "never" | undefined
  /** The kernel panics with this message instead of starting the first process, and restarts. */
  readonly panic?: string | undefined
}

/**
 * A guest that talks like capsa's own: kernel messages, `capsa: init`, a shell with the prompt `capsa# ` that knows
 * `echo`, `nproc`, `poweroff -f`, `reboot -f` and how to make the kernel panic. The power button switches it off.
 */
export const linuxWith =
  (options: LinuxOptions): Script =>
  (guest) =>
    Effect.gen(function* () {
      yield* Effect.sleep(options.kernelAfter ?? 0)
      yield* guest.print("[    0.000000] Linux version 6.1.0-simulated\r\n")
      yield* Effect.sleep(options.initAfter ?? 0)
      if (options.panic !== undefined) {
        yield* guest.print(panicOf(options.panic))
        return { _tag: "Reboot" } as const
      }
      yield* guest.print("[    0.100000] Run /init as init process\r\n")
      yield* guest.print("capsa: init\r\n")
      yield* Effect.sleep(options.promptAfter ?? 0)
      return yield* Effect.raceFirst(shell(guest), switchedOff(guest, options.powerOffAfter ?? 0))
    })

/** @see {@link linuxWith} */
export const linux: Script = linuxWith({})

const switchedOff = (guest: Guest, after: Duration.DurationInput | "never"): Effect.Effect<VmExit> =>
  after === "never"
    ? Effect.never
    : guest.powerButton.pipe(Effect.zipRight(Effect.sleep(after)), Effect.as({ _tag: "PowerOff" }))

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

const panicOf = (message: string): string => `[    1.000000] Kernel panic - not syncing: ${message}\r\n`

const answer = ({ plan }: Guest, line: string): { readonly says: string; readonly exit?: VmExit } => {
  const [command = "", ...words] = line.split(" ")
  switch (line) {
    case "poweroff -f":
      return { says: "", exit: { _tag: "PowerOff" } }
    case "reboot -f":
      return { says: "", exit: { _tag: "Reboot" } }
    case "echo c > /proc/sysrq-trigger":
      return { says: panicOf("sysrq triggered crash"), exit: { _tag: "Reboot" } }
    case "nproc":
      return { says: `${plan.cpus}\r\n` }
    case "":
      return { says: "" }
    default:
      return { says: command === "echo" ? `${words.join(" ")}\r\n` : `sh: ${command}: not found\r\n` }
  }
}
