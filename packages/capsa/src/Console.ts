/** The console of a machine: bytes that come, bytes that go, and waiting for what is expected. */
import type { ConsoleError, MachineError } from "@capsa/core"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Pattern } from "./internal/matcher.ts"

export type { Pattern }

/** What was waited for, and what surrounds it. @category models */
export interface ConsoleMatch {
  /** The text that matched. */
  readonly text: string
  /** What came between the last match and this one, as far as the history still holds it. */
  readonly before: string
  /** The text that matched, then the groups of a RegExp. */
  readonly match: readonly [string, ...ReadonlyArray<string | undefined>]
  /** The place in the list of the pattern that matched. */
  readonly index: number
  /** Bytes that should be at the beginning of `before`, but had left the history. */
  readonly lost: number
}

/** A piece of output. @category models */
export interface ConsoleChunk {
  readonly bytes: Uint8Array
  /** Number of bytes before this piece since the machine began. */
  readonly position: number
  /** Bytes before this piece that this reader was too slow for. */
  readonly lost: number
}

/** @category models */
export interface ExpectOptions {
  /** How long to wait; for ever if absent. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * All output goes to a bounded history, whether somebody reads or not; readers that fall behind it lose bytes and are
 * told, the guest never waits for them.
 *
 * @category models
 */
export interface Console {
  /** Output from the moment of subscription; ends with the machine. Any number of readers. */
  readonly output: Stream.Stream<Uint8Array>
  /** The same, with positions and losses. */
  readonly chunks: Stream.Stream<ConsoleChunk>
  /** The last output, at most `console.historyBytes` of the configuration. */
  readonly history: Effect.Effect<Uint8Array>
  /** Bytes of output that the backend dropped before they came here. */
  readonly lost: Effect.Effect<number>
  /** Types bytes or UTF-8 text into the console; waits while its buffer is full. */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, MachineError>
  /** Types a line and presses Enter (a carriage return, as keyboards send it). */
  readonly writeLine: (text: string) => Effect.Effect<void, MachineError>
  /**
   * Waits for the first of the patterns in what came since the last match, across any cutting of the output and without
   * waiting for line ends. The match that ends first wins; for the same end, the pattern named first. A RegExp sees at
   * least the last 8 KiB, `$` matches at the end of what has come. What is matched is consumed; a time-out consumes
   * nothing. Several may wait at a time: each sees all that is unconsumed when it begins.
   */
  readonly expect: (
    patterns: Pattern | ReadonlyArray<Pattern>,
    options?: ExpectOptions
  ) => Effect.Effect<ConsoleMatch, ConsoleError>
}
