/** A process of a guest and this one's standard streams, or what it says kept for a report. */
import type { SandboxError } from "@capsa/core"
import type { Sandbox } from "capsa"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { TargetError } from "./CliError.ts"
import type { ProcessOptions } from "./options.ts"
import { type Output, Stdio, type StdioError } from "./Stdio.ts"

/** How a command ended, and what it said where that was to be kept. @category models */
export const ProcessReport = Schema.Struct({
  /** As shells have it: 128 and the signal's number if one killed it. */
  exitCode: Schema.Int,
  signal: Schema.optional(Schema.String),
  stdout: Schema.String,
  stderr: Schema.String,
  /** Whether one of them was longer than what is kept, 16 MiB. */
  truncated: Schema.Boolean
})
/** @category models */
export type ProcessReport = typeof ProcessReport.Type

/** What a process, or who holds its machine, fails with. */
export type ProcessError = SandboxError | TargetError

/** A process of a guest, of a machine of our own or of a detached one. */
export interface Process<E = ProcessError> {
  readonly stdout: Stream.Stream<Uint8Array, E>
  readonly stderr: Stream.Stream<Uint8Array, E>
  readonly stdin: {
    readonly write: (bytes: Uint8Array) => Effect.Effect<void, E>
    readonly end: Effect.Effect<void, E>
  }
  readonly resize: (size: Sandbox.TerminalSize) => Effect.Effect<void, E>
  readonly exit: Effect.Effect<Sandbox.ProcessExit, E>
}

/** How to start one. */
export interface Start {
  readonly argv: ProcessOptions["command"]
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string | undefined
  readonly user?: string | undefined
  readonly tty?: Sandbox.TerminalSize | undefined
}

/** Starts one, which lives until the scope closes. */
export type Spawn<E = ProcessError> = (start: Start) => Effect.Effect<Process<E>, E, Scope.Scope>

/** By an agent. What a command has started ends with it: nobody could look after that. */
export const spawnBy =
  ({ spawn }: Pick<Sandbox.Agent, "spawn">): Spawn<SandboxError> =>
  ({ argv, ...options }) =>
    Effect.map(spawn(argv, { ...options, stdin: true }), (process) => ({
      ...process,
      exit: Effect.tap(process.exit, () => process.kill({ signal: "SIGKILL", scope: "tree" }))
    }))

/** Runs a command to its end, typing and reading as fast as it reads and writes; the end of the input is its end. */
export const run = Effect.fnUntraced(function* (
  spawn: Spawn,
  { command, cwd, env, json, tty, user }: ProcessOptions
): Effect.fn.Return<ProcessReport, ProcessError | StdioError, Stdio | Scope.Scope> {
  const { stderr, stdin, stdout, terminal } = yield* Stdio
  const size = tty ? yield* terminal.size : undefined
  const process = yield* spawn({ argv: command, env: Object.fromEntries(env), cwd, user, tty: size })
  if (tty && stdin.isTerminal) {
    yield* stdin.raw
    yield* Effect.forkScoped(Stream.runForEach(terminal.sizeChanges, process.resize))
  }
  // What cannot be read any more is the end of the command's input.
  const input = Stream.orElse(stdin.bytes, () => Stream.empty)
  const typed = Effect.zipRight(Stream.runForEach(input, process.stdin.write), process.stdin.end)
  yield* Effect.forkScoped(Effect.ignore(typed))
  const taken = (output: Process["stdout"], to: Output<StdioError>) => (json ? kept(output) : written(output, to))
  const [exit, out, err] = yield* Effect.all(
    [process.exit, taken(process.stdout, stdout), taken(process.stderr, stderr)],
    { concurrency: "unbounded" }
  )
  return { ...exit, stdout: out.text, stderr: err.text, truncated: out.truncated || err.truncated }
}, Effect.scoped)

interface Taken {
  readonly text: string
  readonly truncated: boolean
}

const written = (output: Process["stdout"], to: Output<StdioError>) =>
  Effect.as(Stream.runForEach(output, to.write), { text: "", truncated: false } satisfies Taken)

const keptBytesMax = 16 * 1024 * 1024

const kept = (output: Process["stdout"]): Effect.Effect<Taken, ProcessError> =>
  Effect.suspend(() => {
    const pieces: Array<Uint8Array> = []
    let length = 0
    return Stream.runForEach(output, (bytes) =>
      Effect.sync(() => {
        if (length < keptBytesMax) pieces.push(bytes.subarray(0, keptBytesMax - length))
        length += bytes.length
      })
    ).pipe(Effect.map(() => ({ text: Buffer.concat(pieces).toString(), truncated: length > keptBytesMax })))
  })
