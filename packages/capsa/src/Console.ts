/** The console of a machine: bytes that come, bytes that go, and waiting for what is expected. */
import type { ConsoleError, MachineError } from "@capsa/core"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import { type Pattern, windowBytesDefault } from "./internal/matcher.ts"

export type { Pattern }
export {
  /** How far back a RegExp sees in bytes, unless {@link ExpectOptions} say otherwise. */
  windowBytesDefault
}

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
  /**
   * How many bytes before the newest output a RegExp sees at least; {@link windowBytesDefault} if absent. A longer match
   * may be missed; each new piece of output costs a search of the window.
   */
  readonly windowBytes?: number | undefined
}

/** @category models */
export interface RunOptions {
  /** How long command, prompt and other runs before it may take together; for ever if absent. */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * What the shell prints when it waits for the next command, colours left out. If given, it is waited for and consumed,
   * so that what is unread begins behind it.
   */
  readonly prompt?: Pattern | undefined
}

/** What a command printed, and how it ended. @category models */
export interface RunResult {
  /** Both outputs of the command as text, with line feeds as the command wrote them. */
  readonly output: string
  /** The same as bytes. */
  readonly bytes: Uint8Array
  /** As the shell tells it: 128 and its number for a signal. */
  readonly exitCode: number
  /** Bytes that should be at the beginning of the output, but had left the history. */
  readonly lost: number
}

/** @category models */
export interface LoginOptions {
  readonly user: string
  /** Typed if the guest asks; in no log, span or error. */
  readonly password?: string | Redacted.Redacted | undefined
  /** What tells that the shell is there; one of `# `, `$ `, `% `, `> ` as the last of the output if absent. */
  readonly prompt?: Pattern | undefined
  /** How long all of it may take, the wait for the login prompt included; for ever if absent. */
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
  /**
   * The same from a position on, or from the oldest byte that the history still holds: `chunksFrom(0)` is all output.
   * What is not held any more counts as lost in the first chunk.
   */
  readonly chunksFrom: (position: number) => Stream.Stream<ConsoleChunk>
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
   * waiting for line ends. The match that ends first wins; for the same end, the pattern named first. A RegExp sees
   * a window of the last output, `$` matches at the end of what has come. Bytes that are not UTF-8 are U+FFFD to it. What is
   * matched is consumed; a time-out consumes nothing. Several may wait at a time: each sees all that is unconsumed when it begins.
   */
  readonly expect: (
    patterns: Pattern | ReadonlyArray<Pattern>,
    options?: ExpectOptions
  ) => Effect.Effect<ConsoleMatch, ConsoleError>
  /**
   * Runs a command of any length up to about 40 KB, quotes and lines included, in the POSIX shell (sh, ash, dash, bash)
   * that waits at the console, and takes output and exit status from between two marks. The console's input is the
   * command's. What the kernel says meanwhile is part of the output. Several runs at a time wait for each other. A time-out
   * consumes nothing and leaves the command running: {@link Console.interrupt} ends it. Fails with `InvalidInput` for a
   * command that cannot be typed.
   */
  readonly run: (command: string, options?: RunOptions) => Effect.Effect<RunResult, ConsoleError | MachineError>
  /**
   * Answers the login prompt, the one that stands there or the next, and waits for the shell's. Fails with `LoginIncorrect`
   * when the guest says so, and with `InvalidInput` when user or password contain control characters.
   */
  readonly login: (options: LoginOptions) => Effect.Effect<void, ConsoleError | MachineError>
  /** Presses Ctrl-C. A run under way then ends with what the shell tells, usually exit status 130. */
  readonly interrupt: Effect.Effect<void, MachineError>
  /** Presses Ctrl-D: the end of input for a program that reads lines. */
  readonly eof: Effect.Effect<void, MachineError>
}
