/** The three standard streams of the process. */
import { isatty } from "node:tty"
import { docsOf, type FailureReasons, schemaOf } from "@capsa/core/FailureReason"
import * as BunStream from "@effect/platform-bun/BunStream"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** What each reason of a {@link StdioError} means. @category models */
export const stdioReasons = {
  Closed: {
    happened: "Nobody reads the output any more. Nothing is told; the exit status is 141, as in any pipeline.",
    retryable: false,
    remedy: "Usually nothing: the reader had enough."
  },
  HostFailure: {
    happened: "A standard stream could not be read or written.",
    retryable: false,
    remedy: "Look at what it is connected to: a full disk, a file that was opened for reading only."
  }
} as const satisfies FailureReasons

/**
 * A standard stream could not be read or written.
 *
 * @category errors
 */
export class StdioError extends Schema.TaggedError<StdioError>("@capsa/cli/StdioError")("StdioError", {
  reason: schemaOf(stdioReasons),
  stream: Schema.Literal("stdin", "stdout"),
  /** The host's error name: "EPIPE". */
  errno: Schema.String
}) {
  override get message(): string {
    return `${this.stream} failed (${this.errno})`
  }
  /** What to do about it. */
  get hint(): string {
    return `Look at what ${this.stream} is connected to.`
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return stdioReasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}

/** An output stream. @category models */
export interface Output<E> {
  readonly isTerminal: boolean
  /** Whether colours are welcome: on a terminal, unless `NO_COLOR` is set. */
  readonly colours: boolean
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number
  /** Done when the system has taken the data. */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, E>
}

/** @category models */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/**
 * What a program talks with people and other programs through.
 *
 * @category tags
 */
export class Stdio extends Context.Tag("@capsa/cli/Stdio")<
  Stdio,
  {
    readonly stdin: {
      readonly isTerminal: boolean
      /** Bytes as they come; to be read once. */
      readonly bytes: Stream.Stream<Uint8Array, StdioError>
      /** Until the scope closes, every key goes to {@link bytes} as it is pressed, Ctrl-C too. On a terminal only. */
      readonly raw: Effect.Effect<void, never, Scope.Scope>
    }
    /** What shows the output, where that is a terminal. */
    readonly terminal: {
      /** 80 columns and 24 rows where there is none. */
      readonly size: Effect.Effect<TerminalSize>
      /** New sizes, as they come. */
      readonly sizeChanges: Stream.Stream<TerminalSize>
    }
    readonly stdout: Output<StdioError>
    /** That it cannot be written to could be told nowhere, and isn't. */
    readonly stderr: Output<never>
  }
>() {}

const errorOf = (stream: StdioError["stream"], error: unknown): StdioError => {
  const errno = error instanceof Error && "code" in error ? String(error.code) : String(error)
  return new StdioError({ reason: errno === "EPIPE" ? "Closed" : "HostFailure", stream, errno })
}

const writeTo = (stream: NodeJS.WriteStream, data: string | Uint8Array) =>
  Effect.async<void, StdioError>((resume) => {
    stream.write(data, (error) => resume(error ? errorOf("stdout", error) : Effect.void))
  })

const outputOf = (stream: NodeJS.WriteStream, coloursWanted: boolean): Output<StdioError> => {
  // Each write learns of its own failure; where nobody listens, the event would end the process.
  stream.on("error", () => {})
  return {
    isTerminal: stream.isTTY === true,
    colours: stream.isTTY === true && coloursWanted,
    columns: stream.columns ?? 80,
    write: (data) => writeTo(stream, data)
  }
}

const terminalSize = (): TerminalSize => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 })

const setRawMode = (on: boolean) => Effect.sync(() => void process.stdin.setRawMode(on))

/** The streams of this process. @category layers */
export const layer: Layer.Layer<Stdio> = Layer.effect(
  Stdio,
  Effect.gen(function* () {
    const coloursWanted = Option.isNone(yield* Effect.orDie(Config.option(Config.nonEmptyString("NO_COLOR"))))
    const stderr = outputOf(process.stderr, coloursWanted)
    return {
      stdin: {
        // `process.stdin` would begin to read it.
        isTerminal: isatty(0),
        bytes: BunStream.fromReadable<StdioError, Uint8Array>(
          () => process.stdin,
          (error) => errorOf("stdin", error)
        ),
        raw: Effect.asVoid(Effect.acquireRelease(setRawMode(true), () => setRawMode(false)))
      },
      terminal: {
        size: Effect.sync(terminalSize),
        sizeChanges: Stream.asyncPush<TerminalSize>((emit) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const changed = () => void emit.single(terminalSize())
              process.stdout.on("resize", changed)
              return changed
            }),
            (changed) => Effect.sync(() => process.stdout.off("resize", changed))
          )
        )
      },
      stdout: outputOf(process.stdout, coloursWanted),
      stderr: { ...stderr, write: (data) => Effect.ignore(stderr.write(data)) }
    }
  })
)
