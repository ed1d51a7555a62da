/** What machines on the native library take from this process: so that a test can see that it is given back. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

/** Counts of what carries the library's mark. @category models */
export interface Holdings {
  readonly descriptors: number
  readonly threads: number
  readonly mappings: number
}

const marks = /kvm|capsa|\[eventfd\]|\[eventpoll\]/

const count = (folder: string, describe: (entry: string) => string): number =>
  readdirSync(folder).filter((entry) => {
    try {
      return marks.test(describe(`${folder}/${entry}`))
    } catch {
      // It went away between the listing and the look.
      return false
    }
  }).length

/** Looks at this process's descriptors, threads and mappings, by what Linux calls them. @category constructors */
export const holdings = (): Holdings => ({
  descriptors: count("/proc/self/fd", readlinkSync),
  threads: count("/proc/self/task", (task) => readFileSync(`${task}/comm`, "utf8")),
  mappings: readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => /kvm|memfd:capsa/.test(line)).length
})
