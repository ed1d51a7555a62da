import { ConsoleError, type Machine, type VmExit } from "@capsa/core"
import * as Exit from "@capsa/core/VmExit"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { Console, ConsoleChunk, ConsoleMatch, ExpectOptions, Pattern } from "../Console.ts"
import * as ByteRing from "./byteRing.ts"
import * as Matcher from "./matcher.ts"

/** The console, and the end of it that the pump holds. */
export interface ConsoleSink {
  readonly console: Console
  /** Number of bytes so far. */
  readonly position: () => number
  readonly append: (bytes: Uint8Array) => void
  /** No more output will come: the machine has ended so. */
  readonly end: (exit: VmExit) => void
}

/** What a reader takes at a time. */
const chunkMax = 65_536
/** How much text an error carries. */
const receivedMax = 4096

interface Waiter {
  readonly feed: (bytes: Uint8Array) => void
  readonly end: () => void
}

export const make = (machine: Pick<Machine, "write" | "consoleLost">, historyBytes: number): ConsoleSink => {
  const ring = ByteRing.make(historyBytes)
  const readers = new Set<() => void>()
  const waiters = new Set<Waiter>()
  // Small enough that what stands before a match is still in the ring when the match is found.
  const pieceMax = Math.min(chunkMax, historyBytes >> 1)
  let consumed = 0
  let ended: VmExit | undefined

  const wakeReaders = () => {
    for (const wake of [...readers]) wake()
  }

  const append = (bytes: Uint8Array) => {
    for (let from = 0; from < bytes.length; from += pieceMax) {
      const piece = bytes.subarray(from, from + pieceMax)
      ring.append(piece)
      for (const waiter of [...waiters]) waiter.feed(piece)
    }
    wakeReaders()
  }

  const end = (exit: VmExit) => {
    ended = exit
    for (const waiter of [...waiters]) waiter.end()
    wakeReaders()
  }

  /** Checks and subscribes in one step, so that nothing comes in between. */
  const arrival = (position: number): Effect.Effect<void> =>
    Effect.async((resume) => {
      if (ring.end() > position || ended !== undefined) return resume(Effect.void)
      const wake = () => {
        readers.delete(wake)
        resume(Effect.void)
      }
      readers.add(wake)
      return Effect.sync(() => readers.delete(wake))
    })

  const nextChunk = (position: number) =>
    Effect.map(arrival(position), () => {
      const { bytes, lost, position: next } = ring.read(position, chunkMax)
      const chunk: ConsoleChunk = { bytes, lost, position: next - bytes.length }
      return bytes.length === 0 ? Option.none() : Option.some([chunk, next] as const)
    })

  const chunks = Stream.suspend(() => Stream.unfoldEffect(ring.end(), nextChunk))

  const matchOf = (from: number, { index, start, end: matchEnd, groups }: Matcher.Match): ConsoleMatch => {
    const { bytes, lost } = ring.read(from, start - from)
    const before = Buffer.from(bytes.subarray(0, Math.max(0, start - from - lost))).toString()
    consumed = Math.max(consumed, matchEnd)
    return { text: groups[0], before, match: groups, index, lost }
  }

  const failure = (patterns: ReadonlyArray<Pattern>, from: number): ConsoleError => {
    const pattern = patterns
      .map((each) => (typeof each === "string" ? JSON.stringify(each) : String(each)))
      .join(" or ")
    const received = Buffer.from(ring.read(Math.max(from, ring.end() - receivedMax)).bytes).toString()
    return new ConsoleError({ ...complaint(ended, pattern), pattern, received, exit: ended })
  }

  const firstMatch = (patterns: ReadonlyArray<Pattern>) =>
    Effect.async<ConsoleMatch, ConsoleError>((resume) => {
      const from = consumed
      const unread = ring.read(from)
      const matcher = Matcher.make(patterns, from + unread.lost)
      const waiter: Waiter = {
        feed: (bytes) => {
          const match = matcher.feed(bytes)
          if (match === undefined) return
          waiters.delete(waiter)
          resume(Effect.succeed(matchOf(from, match)))
        },
        end: () => {
          waiters.delete(waiter)
          resume(Effect.fail(failure(patterns, from)))
        }
      }
      waiters.add(waiter)
      waiter.feed(unread.bytes)
      if (ended !== undefined && waiters.has(waiter)) waiter.end()
      return Effect.sync(() => waiters.delete(waiter))
    })

  const expect = Effect.fn("Console.expect")(function* (
    expected: Pattern | ReadonlyArray<Pattern>,
    options?: ExpectOptions
  ) {
    const patterns = Predicate.isString(expected) || Predicate.isRegExp(expected) ? [expected] : expected
    const match = firstMatch(patterns)
    if (options?.timeout === undefined) return yield* match
    return yield* Effect.timeoutFail(match, {
      duration: options.timeout,
      onTimeout: () => failure(patterns, consumed)
    })
  })

  const write: Console["write"] = Effect.fn("Console.write")((data) =>
    machine.write(typeof data === "string" ? new TextEncoder().encode(data) : data)
  )

  const console: Console = {
    output: Stream.map(chunks, ({ bytes }) => bytes),
    chunks,
    history: Effect.sync(() => ring.read(0).bytes),
    lost: machine.consoleLost,
    write,
    writeLine: (text) => write(`${text}\r`),
    expect
  }
  return { console, position: ring.end, append, end }
}

const complaint = (exit: VmExit | undefined, pattern: string) =>
  exit === undefined
    ? {
        reason: "Timeout" as const,
        detail: `The time was up while waiting for ${pattern}.`,
        hint: "Look at `received`: the pattern may not fit it, or the guest may need more time. Nothing was consumed."
      }
    : {
        reason: "Ended" as const,
        detail: `The machine ended (${Exit.format(exit)}) while waiting for ${pattern}.`,
        hint: "Look at `received`, the last that it said, and at `exit`, how it ended."
      }
