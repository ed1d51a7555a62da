/** What machines take from this process: so that a test can see that it is given back. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

/** Counts of what carries the library's mark, or belongs to a child process. @category models */
export interface Holdings {
  readonly descriptors: number
  readonly threads: number
  readonly mappings: number
  /** Child processes, those that have ended and wait to be reaped included. */
  readonly children: number
}

const marks = /kvm|capsa|\[eventfd\]|\[eventpoll\]|\[timerfd\]|^socket:/

const count = (folder: string, marked: (entry: string) => boolean): number =>
  readdirSync(folder).filter((entry) => {
    try {
      return marked(`${folder}/${entry}`)
    } catch {
      // It went away between the listing and the look.
      return false
    }
  }).length

/** A process's parent: after its name, which is in parentheses and may hold any character, and its state. */
const parentOf = (folder: string): number =>
  Number(/\) . (\d+)[^)]*$/.exec(readFileSync(`${folder}/stat`, "utf8"))?.[1])

/** Looks at this process's descriptors, threads, mappings and children, by what Linux calls them. @category constructors */
export const holdings = (): Holdings => ({
  descriptors: count("/proc/self/fd", (fd) => marks.test(readlinkSync(fd))),
  threads: count("/proc/self/task", (task) => marks.test(readFileSync(`${task}/comm`, "utf8"))),
  mappings: readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => /kvm|memfd:capsa/.test(line)).length,
  children: count("/proc", (entry) => /^\/proc\/\d+$/.test(entry) && parentOf(entry) === process.pid)
})
