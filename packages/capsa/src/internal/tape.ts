/** What a console has said: kept as far as its history reaches, read by many, searched by many. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ConsoleChunk, Pattern } from "../Console.ts"
import * as ByteRing from "./byteRing.ts"
import * as Matcher from "./matcher.ts"

/** A match, and what came between the place where the search began and the match. */
export interface Found extends Matcher.Match {
  readonly before: ByteRing.Reading
}

export interface Tape<End> extends Pick<ByteRing.ByteRing, "end" | "read"> {
  readonly append: (bytes: Uint8Array) => void
  /** No more will come, for this reason. */
  readonly close: (reason: End) => void
  readonly closed: () => End | undefined
  /** Bytes that its readers, all taken together, were too slow for. */
  readonly missed: () => number
  /** From a position, or from the oldest byte still kept; ends when the tape is closed. */
  readonly chunksFrom: (position: number) => Stream.Stream<ConsoleChunk>
  /** The first match from a position on; `undefined` when there is none before the tape is closed. Changes nothing. */
  readonly find: (
    patterns: ReadonlyArray<Pattern>,
    from: number,
    windowBytes?: number
  ) => Effect.Effect<Found | undefined>
}

/** What a reader takes at a time. */
const chunkMax = 65_536

interface Waiter {
  readonly feed: (bytes: Uint8Array) => void
  readonly close: () => void
}

export const make = <End>(historyBytes: number): Tape<End> => {
  const ring = ByteRing.make(historyBytes)
  const readers = new Set<() => void>()
  const waiters = new Set<Waiter>()
  // Small enough that what stands before a match is still in the ring when the match is found.
  const pieceMax = Math.min(chunkMax, historyBytes >> 1)
  let closed: End | undefined
  let missed = 0

  const wakeReaders = () => {
    const sleepers = [...readers]
    readers.clear()
    for (const wake of sleepers) wake()
  }

  const appendForWaiters = (bytes: Uint8Array) => {
    for (let from = 0; from < bytes.length; from += pieceMax) {
      const piece = bytes.subarray(from, from + pieceMax)
      ring.append(piece)
      for (const waiter of waiters) waiter.feed(piece)
    }
  }

  /** Checks and subscribes in one step, so that nothing comes in between. */
  const arrival = (position: number): Effect.Effect<void> =>
    Effect.async((resume) => {
      if (ring.end() > position || closed !== undefined) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      readers.add(wake)
      return Effect.sync(() => readers.delete(wake))
    })

  const nextChunk = (position: number) =>
    Effect.map(arrival(position), () => {
      const { bytes, lost, position: next } = ring.read(position, chunkMax)
      missed += lost
      const chunk: ConsoleChunk = { bytes, lost, position: next - bytes.length }
      return bytes.length === 0 ? Option.none() : Option.some([chunk, next] as const)
    })

  const find: Tape<End>["find"] = (patterns, from, windowBytes) =>
    Effect.async((resume) => {
      const first = Math.max(from, ring.start())
      const { feed } = Matcher.make(patterns, first, windowBytes)
      let over = false
      const finish = (found: Found | undefined) => {
        over = true
        waiters.delete(waiter)
        resume(Effect.succeed(found))
      }
      const waiter: Waiter = {
        feed: (bytes) => {
          const match = feed(bytes)
          if (match !== undefined) finish({ ...match, before: ring.between(from, match.start) })
        },
        close: () => finish(undefined)
      }
      // A RegExp must see at once all that is there; strings rarely need all of it to be copied.
      const step = patterns.some((pattern) => typeof pattern !== "string") ? historyBytes : chunkMax
      let at = first
      do {
        const { bytes, position } = ring.read(at, step)
        waiter.feed(bytes)
        at = position
      } while (!over && at < ring.end())
      if (!over && closed !== undefined) waiter.close()
      if (!over) waiters.add(waiter)
      return Effect.sync(() => waiters.delete(waiter))
    })

  return {
    end: ring.end,
    read: ring.read,
    append: (bytes) => {
      if (waiters.size === 0) ring.append(bytes)
      else appendForWaiters(bytes)
      if (readers.size > 0) wakeReaders()
    },
    close: (reason) => {
      closed = reason
      for (const waiter of waiters) waiter.close()
      wakeReaders()
    },
    closed: () => closed,
    missed: () => missed,
    chunksFrom: (position) => Stream.unfoldEffect(position, nextChunk),
    find
  }
}
