/** What runs on this host, as far as tests need to know. */
import { readdirSync, readFileSync } from "node:fs"

const commandLine = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

/** Ids of the processes with a text in their command line. One that has ended and waits to be reaped has none. */
export const processesWith = (text: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(text))
    .map(Number)

/** Whether a process runs, and is not only waiting to be reaped. */
export const isAlive = (pid: number): boolean => commandLine(String(pid)) !== ""
