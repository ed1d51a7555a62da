/** From what was seen of QEMU's end to how the machine ended. */
import type { VmExit } from "@capsa/core"
import type { ProcessExit } from "./supervised.ts"

/** What was seen while the machine ran. */
export interface Facts {
  /** `reason` of the first SHUTDOWN event. */
  readonly shutdown?: string | undefined
  /** The panic device spoke. */
  readonly panicked?: boolean
  /** We ended it because the host's side could not go on: why, in one sentence. */
  readonly failure?: string | undefined
  /** We ended it because we were asked to. */
  readonly killed?: boolean
  /** The kernel ended it at its limit of memory. */
  readonly outOfMemory?: boolean
}

/** What the guest did itself counts before what was done to it: it came first, or there would be no event of it. */
export const exitOf = (facts: Facts, process: ProcessExit, stderr: string): VmExit => {
  if (facts.panicked || facts.shutdown === "guest-panic") return { _tag: "Panic" }
  if (facts.shutdown === "guest-shutdown") return { _tag: "PowerOff" }
  if (facts.shutdown === "guest-reset") return { _tag: "Reboot" }
  if (facts.outOfMemory) return { _tag: "OutOfMemory" }
  if (facts.failure !== undefined) return { _tag: "Failed", detail: facts.failure }
  if (facts.killed) return { _tag: "Killed" }
  return { _tag: "Failed", detail: sentence(process, stderr) }
}

/** How a process ended that was not to. */
export const sentence = ({ code, signal }: ProcessExit, stderr: string): string => {
  const end = signal === undefined ? `QEMU ended with status ${code}` : `QEMU was killed by ${signal}, not by capsa`
  const guess =
    signal === "SIGKILL" ? "; the host's out-of-memory killer does that, and says so in the kernel's log (dmesg)" : ""
  return stderr === "" ? `${end}${guess}.` : `${end}${guess}: ${stderr}`
}
