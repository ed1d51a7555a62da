/** What machines take from this process: so that a test can see that it is given back. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

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

const isSame = (a: Holdings, b: Holdings): boolean => JSON.stringify(a) === JSON.stringify(b)

const onHostTime = Effect.withClock(Clock.make())

/**
 * What this process holds when that has stopped changing: the host's kernel and Bun take time to take apart what was
 * closed, be it by the test before. Waits by the host's clock, whichever the test has.
 *
 * @category constructors
 */
export const settled: Effect.Effect<Holdings> = onHostTime(
  Effect.suspend(() => {
    const before = holdings()
    return Effect.flatMap(Effect.sleep("100 millis"), () =>
      isSame(before, holdings()) ? Effect.succeed(before) : settled
    )
  })
)

/** Waits until no more is held than before; an error after ten seconds of the host's clock. @category utils */
export const givenBack = (before: Holdings): Effect.Effect<void, Error> => {
  const isBack = (now: Holdings) =>
    now.descriptors <= before.descriptors &&
    now.threads <= before.threads &&
    now.mappings <= before.mappings &&
    now.children <= before.children
  const wait: Effect.Effect<void> = Effect.suspend(() =>
    isBack(holdings()) ? Effect.void : Effect.zipRight(Effect.sleep("10 millis"), wait)
  )
  const held = () => new Error(`held: ${JSON.stringify(holdings())}, before: ${JSON.stringify(before)}`)
  return onHostTime(Effect.timeoutFail(wait, { duration: "10 seconds", onTimeout: held }))
}
