/** `capsa run -- CMD`: one command in a machine of its own, connected to the standard streams of this process. */
import { BackendName, BootStage } from "@capsa/core"
import { Sandbox } from "capsa"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { RunError } from "./CliError.ts"
import type { CommandOptions } from "./options.ts"
import { configOf } from "./runMachine.ts"
import { Stdio } from "./Stdio.ts"

/**
 * What `capsa run --json -- CMD` prints for a command that has ended.
 *
 * @category models
 */
export const CommandReport = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  backend: Schema.Struct({ name: BackendName, description: Schema.String }),
  /** As shells have it: 128 and the signal's number if one killed it. */
  exitCode: Schema.Int,
  signal: Schema.optional(Schema.String),
  stdout: Schema.String,
  stderr: Schema.String,
  /** Whether one of them was longer than what is kept, 16 MiB. */
  truncated: Schema.Boolean,
  stages: Schema.Array(BootStage)
})
/** @category models */
export type CommandReport = typeof CommandReport.Type

/** Typing and reading as fast as the command reads and writes; the end of the input is its end. */
const connected = Effect.fnUntraced(function* ({ exec: _, ...sandbox }: Sandbox.Sandbox, options: CommandOptions) {
  const { stderr, stdin, stdout, terminal } = yield* Stdio
  const tty = options.tty ? yield* terminal.size : undefined
  const process = yield* sandbox.spawn(options.command, { ...programOf(options), tty, stdin: true })
  if (options.tty && stdin.isTerminal) {
    yield* stdin.raw
    yield* Effect.forkScoped(Stream.runForEach(terminal.sizeChanges, process.resize))
  }
  const typed = Effect.zipRight(Stream.runForEach(stdin.bytes, process.stdin.write), process.stdin.end)
  yield* Effect.forkScoped(Effect.catchTag(typed, "SandboxError", () => Effect.void))
  const ended = Effect.tap(process.exit, () => process.kill({ signal: "SIGKILL", scope: "tree" }))
  const [exit] = yield* Effect.all(
    [ended, Stream.runForEach(process.stdout, stdout.write), Stream.runForEach(process.stderr, stderr.write)],
    { concurrency: "unbounded" }
  )
  return { ...exit, stdout: "", stderr: "", truncated: false }
})

/** Everything at the end, for programs. */
const collected = ({ exec }: Sandbox.Sandbox, options: CommandOptions) =>
  Effect.flatMap(Stdio, ({ stdin }) =>
    // What cannot be read any more is the end of the command's input.
    exec(options.command, { ...programOf(options), stdin: Stream.orElse(stdin.bytes, () => Stream.empty) })
  )

const programOf = ({ cwd, env, user }: CommandOptions) => ({ cwd, user, env: Object.fromEntries(env) })

const session = Effect.fnUntraced(function* (options: CommandOptions) {
  const sandbox = yield* Sandbox.launch(configOf(options))
  const { exitCode, signal, stderr, stdout, truncated } = yield* Effect.scoped(
    options.json ? collected(sandbox, options) : connected(sandbox, options)
  )
  // Killed it would lose what its disks have not been told yet.
  yield* sandbox.shutdown()
  const { backend, id, name, stages } = sandbox
  return {
    id,
    name,
    backend: { name: backend.name, description: backend.description },
    exitCode,
    ...(signal === undefined ? {} : { signal }),
    stdout,
    stderr,
    truncated,
    stages: yield* stages
  } satisfies CommandReport
}, Effect.scoped)

/** Runs it. Nothing is left of the machine afterwards. */
export const runCommand = (options: CommandOptions) =>
  options.timeout === undefined
    ? session(options)
    : Effect.timeoutFail(session(options), { duration: options.timeout, onTimeout: () => timeOver(options.timeout) })

const timeOver = (timeout: Duration.Duration | undefined) =>
  new RunError({
    reason: "Timeout",
    detail: `The command was killed${timeout === undefined ? "" : ` after ${Duration.format(timeout)}`}: its time was over.`,
    hint: "Give it more with --timeout."
  })
