/** What the agent says of a failure, as errors. */
import { SandboxError, type SandboxErrorReason } from "@capsa/core"
import type { GuestFailure } from "./messages.ts"

interface Told {
  readonly reason: SandboxErrorReason
  readonly detail: string
  readonly hint: string
}

const told: Record<GuestFailure["reason"], Told> = {
  Invalid: {
    reason: "InvalidInput",
    detail: "The agent cannot make sense of what it was asked for",
    hint: "`step` names what it is about: give no empty command, no NUL, and absolute paths."
  },
  Busy: {
    reason: "Busy",
    detail: "The agent cannot take one more command or transfer",
    hint: "Wait for some of them to end."
  },
  Unstartable: {
    reason: "CannotStart",
    detail: "The command could not be started",
    hint: "`step` says what is at fault, `subject` which one."
  },
  File: {
    reason: "FileFailed",
    detail: "The guest could not do this with a file",
    hint: "`errno` says why, `subject` is the file in the guest."
  },
  Unsafe: {
    reason: "UnsafeArchive",
    detail: "An entry of the archive may not be unpacked",
    hint: "It leads out of its folder or through a link, or is a device. What came before it was unpacked."
  },
  Start: {
    reason: "StartFailed",
    detail: "A step of the guest's start failed",
    hint: "`step` and `subject` say what failed; the console may say more."
  },
  Died: {
    reason: "FileFailed",
    detail: "What the agent had at work on it was killed",
    hint: "The guest may be out of memory: give it more."
  }
}

const unstartable: Readonly<Record<string, Pick<Told, "detail" | "hint">>> = {
  program: {
    detail: "The program could not be started",
    hint: "It must be a file that can be executed, on the PATH of the guest or with its whole path; a script's first line names one."
  },
  folder: { detail: "The working folder cannot be entered", hint: "Make it first, or give another `cwd`." },
  user: { detail: "The guest has no such user", hint: 'Give a name of its /etc/passwd, or a number: "1000:1000".' },
  group: { detail: "The guest has no such group", hint: "Give a name of its /etc/group, or a number." }
}

export const fromGuest = (failure: GuestFailure): SandboxError => {
  const { errno, step, subject } = failure
  const more = failure.reason === "Unstartable" && step !== undefined ? unstartable[step] : undefined
  return new SandboxError({ ...told[failure.reason], ...more, errno, step, subject })
}

export const disconnected = new SandboxError({
  reason: "Disconnected",
  detail: "The connection to the agent has ended.",
  hint: "`vm.wait` tells how the machine ended, if it did. Launch another."
})

export const unresponsive = new SandboxError({
  reason: "Unresponsive",
  detail: "The agent has not answered for a minute.",
  hint: "The guest may be out of memory: look at its console, or kill it."
})

/** `what` follows "The agent …". */
export const outOfProtocol = (what: string): SandboxError =>
  new SandboxError({
    reason: "Protocol",
    detail: `The agent ${what}.`,
    hint: "The guest may be hostile, or its agent is not capsa's: don't trust this machine any more."
  })

export const tooLong = new SandboxError({
  reason: "InvalidInput",
  detail: "The command, its environment or a path is longer than a message can be: 64 KiB.",
  hint: "Send what is long as the command's input, or as a file."
})

export const inputClosed = new SandboxError({
  reason: "InputClosed",
  detail: "The process reads its input no more.",
  hint: "It has closed its input or ended: `exit` tells how."
})
