import { constants } from "node:os"
import { type BootStageName, VmBootError, type VmExit } from "@capsa/core"
import * as Exit from "@capsa/core/VmExit"

/** How far a machine came that is not ready, and what it said. */
export interface Seen {
  /** The last stage that it reached. */
  readonly stage: BootStageName | undefined
  /** All that is left of its console's output. */
  readonly output: string
  /** Path of the initrd that the configuration names. */
  readonly initrd: string | undefined
}

/** How much of the output an error carries: a panic with its trace, and what came before. */
const tailMax = 8192

/** What of it an error carries. */
export const carried = ({ stage, output }: Seen): Pick<VmBootError, "stage" | "consoleTail"> => ({
  stage,
  consoleTail: output.slice(-tailMax)
})

/** What is known of the reason. */
type Diagnosis = Pick<VmBootError, "reason" | "detail" | "hint" | "subject" | "errno">

/** Why a machine ended before it was ready, from its end and what its kernel said. The texts are the kernel's own. */
export const bootFailure = (exit: VmExit, seen: Seen): VmBootError =>
  new VmBootError({
    ...(exit._tag === "Panic" ? ofPanic(exit.message ?? "", seen) : ofEnd(exit)),
    ...carried(seen)
  })

const ofPanic = (message: string, { output, initrd }: Seen): Diagnosis => {
  const unpacking = /Initramfs unpacking failed: (.*?)\r?$/m.exec(output)?.[1]
  if (unpacking !== undefined && initrd !== undefined) {
    return {
      reason: "InitrdInvalid",
      subject: initrd,
      detail: `The kernel could not unpack the initrd: ${unpacking}`,
      hint: "Build it again: a cpio archive (newc), not compressed or in a way that this kernel knows, and not cut off."
    }
  }
  if (message.startsWith("VFS: Unable to mount root fs")) return ofRoot(message, output, initrd)
  return ofInit(message, output) ?? ofOtherPanic(message)
}

const ofRoot = (message: string, output: string, initrd: string | undefined): Diagnosis => {
  const [, device = "", error] = /VFS: Cannot open root device "([^"]*)".*?(?:: error -(\d+))?\r?$/m.exec(output) ?? []
  const named = device === "" || device === "(null)" ? undefined : device
  const giveRoot =
    named === undefined
      ? "name its device with root= in boot.cmdline"
      : `check root=: this kernel sees no device "${named}", or has no driver for it or its file system`
  return {
    reason: "RootMissing",
    subject: named ?? initrd,
    errno: errnoName(error),
    detail: `The kernel found no root file system: ${message}`,
    hint:
      initrd === undefined
        ? `Give an initrd (boot.initrd), or ${giveRoot}.`
        : `The initrd has no /init that may be executed: put one there. If the root is on a disk, ${giveRoot}.`
  }
}

const ofInit = (message: string, output: string): Diagnosis | undefined => {
  const failed =
    /^Requested init (\S+) failed \(error -(\d+)\)/.exec(message) ??
    (message.startsWith("No working init found") ? /Failed to execute (\S+) \(error -(\d+)\)/.exec(output) : null)
  if (failed !== null) {
    const [, program, error] = failed
    const errno = errnoName(error)
    const hint = hints[errno ?? ""] ?? "Look at the console's tail."
    return { reason: "InitFailed", subject: program, errno, detail: "The first process could not be started", hint }
  }
  if (message.startsWith("No working init found")) {
    return {
      reason: "InitFailed",
      detail: "The root file system has no program to start",
      hint: "Put one at /init of the initrd or /sbin/init of the root, or name it with init= in boot.cmdline."
    }
  }
  if (!message.startsWith("Attempted to kill init!")) return undefined
  const status = Number.parseInt(/exitcode=0x([0-9a-f]+)/.exec(message)?.[1] ?? "0", 16)
  return {
    reason: "InitFailed",
    subject: [...output.matchAll(/Run (\S+) as init process/g)].at(-1)?.[1],
    detail: `The first process ended ${status & 0x7f ? `by signal ${status & 0x7f}` : `with status ${status >> 8}`}`,
    hint: "The first process must not end. The console's tail has what it said; a missing library or program is the usual cause."
  }
}

/** By what the kernel could not execute it for. */
const hints: Readonly<Record<string, string>> = {
  ENOENT: "It, or the interpreter or loader that it names, is not in the guest's file system: put it there.",
  // The kernel still has the file open for writing, because it waits for the rest of it.
  ETXTBSY: "The initrd ends in the middle of it, so it was cut off: build or copy it again.",
  EACCES: "It may not be executed: set its executable bits (`chmod +x`) before the image is made.",
  ENOEXEC:
    "It is no program that this kernel runs: give one for the guest's architecture; a script needs #! and its interpreter."
}

const ofOtherPanic = (message: string): Diagnosis => ({
  reason: "KernelPanic",
  detail: message === "" ? "The guest's kernel panicked" : `The guest's kernel panicked: ${message}`,
  hint: "The console's tail has the kernel's report. Try another kernel, other parameters (boot.cmdline), or more memory."
})

const ofEnd = (exit: Exclude<VmExit, { readonly _tag: "Panic" }>): Diagnosis => {
  const detail = `The machine ended before it was ready: ${Exit.format(exit)}`
  switch (exit._tag) {
    case "Failed":
      return {
        reason: "HostFailure",
        detail,
        hint: "Run `capsa doctor`; the host's kernel log (`dmesg`) may say more."
      }
    case "OutOfMemory":
      return {
        reason: "HostFailure",
        detail,
        hint: "Raise the memory limit of the machine, or give its guest less memory."
      }
    case "Killed":
      return exit.reason === "LifetimeOver"
        ? {
            reason: "GuestEnded",
            detail: `${detail}, its maxLifetime`,
            hint: "Give it one that is longer than its boot."
          }
        : { reason: "GuestEnded", detail, hint: "It was killed while it came up: launch another." }
    case "PowerOff":
      return { reason: "GuestEnded", detail, hint: "The guest switched itself off: the console's tail may say why." }
    case "Reboot":
      return {
        reason: "GuestEnded",
        detail,
        hint: "If the console's tail says nothing of a restart, the processor gave up (triple fault): check that the kernel is whole and for this machine, and that memory has room for it, unpacked, and the initrd."
      }
  }
}

const errnoName = (number: string | undefined): string | undefined =>
  Object.entries(constants.errno).find(([, value]) => String(value) === number)?.[0]
