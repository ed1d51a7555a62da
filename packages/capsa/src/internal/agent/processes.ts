/** Commands in the guest. */
import { SandboxError } from "@capsa/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type {
  Agent,
  Command,
  ExecOptions,
  ExecResult,
  InputSource,
  KillOptions,
  ProcessExit,
  SandboxProcess,
  SpawnOptions
} from "../../Sandbox.ts"
import * as Call from "./call.ts"
import { inputClosed } from "./failures.ts"
import { signalScopes } from "./messages.ts"
import type { Value } from "./msgpack.ts"
import type { Session } from "./session.ts"
import { nameOf, numberOf } from "./signals.ts"

const outputBytesMaxDefault = 16 * 1024 * 1024
const terminalDefault = { columns: 80, rows: 24 }
/** How much of each output an error carries. */
const tailBytesMax = 4096

export const make = (session: Session): Pick<Agent, "exec" | "spawn"> => ({
  spawn: Effect.fn("Sandbox.spawn")(function* (command, options = {}) {
    const { call, pid } = yield* begin(session, command, options)
    return processOf(call, pid)
  }),
  exec: Effect.fn("Sandbox.exec")(
    (command: Command, options: ExecOptions = {}) => Effect.scoped(exec(session, command, options)),
    (run, command) =>
      Effect.tap(run, ({ exitCode }) => Effect.annotateCurrentSpan({ command: inWords(command), exitCode }))
  )
})

/** The program alone: arguments may be secrets. */
const inWords = (command: Command): string => (typeof command === "string" ? "sh" : command[0])

const begin = Effect.fnUntraced(function* (
  session: Session,
  command: Command,
  options: SpawnOptions,
  callOptions: Call.CallOptions = {}
): Effect.fn.Return<{ readonly call: Call.Call; readonly pid: number }, SandboxError, Scope.Scope> {
  const call = yield* Call.make(session, "spawn", yield* paramsOf(command, options), callOptions)
  return { call, pid: yield* call.started }
})

/** What the agent is asked for; also of a main process, which has more to it. */
export const paramsOf = (
  command: Command,
  { cwd, env = {}, stdin, tty, user }: SpawnOptions
): Effect.Effect<{ readonly [name: string]: Value }, SandboxError> => {
  const size = tty === true ? terminalDefault : tty
  const variables = Object.entries(env)
  if (variables.some(([name]) => name === "" || name.includes("="))) return Effect.fail(badVariable)
  return Effect.succeed({
    argv: typeof command === "string" ? ["/bin/sh", "-c", command] : [...command],
    env: variables.map(([name, value]) => `${name}=${value}`),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined ? {} : { user }),
    ...(stdin === true ? { stdin } : {}),
    ...(size === undefined || size === false ? {} : { tty: [size.columns, size.rows] })
  })
}

const badVariable = new SandboxError({
  reason: "InvalidInput",
  field: "env",
  detail: "The name of an environment variable is empty, or has an equals sign in it.",
  hint: 'Give names and values apart: { NAME: "value" }.'
})

/** What the end of a process is. */
export const exitOf = (outcome: Call.Outcome): Effect.Effect<ProcessExit, SandboxError> => {
  if (outcome._tag === "Exit" && outcome.code !== null) return Effect.succeed({ exitCode: outcome.code })
  if (outcome._tag === "Exit" && outcome.signal !== null) {
    return Effect.succeed({ exitCode: 128 + outcome.signal, signal: nameOf(outcome.signal) })
  }
  return Effect.fail(noExit)
}

const noExit = new SandboxError({
  reason: "Protocol",
  detail: "The agent told the end of a process, but not how it ended.",
  hint: "The guest may be hostile, or its agent is not capsa's: don't trust this machine any more."
})

const encoder = new TextEncoder()
const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === "string" ? encoder.encode(data) : data)

const processOf = (call: Call.Call, pid: number): SandboxProcess => ({
  pid,
  stdout: call.outputs[0],
  stderr: call.outputs[1],
  stdin: { write: (data) => call.input.write(bytesOf(data)), end: call.input.end },
  exit: Effect.flatMap(call.outcome, exitOf),
  kill: ({ scope = "group", signal = "SIGTERM" }: KillOptions = {}) =>
    call.signal(numberOf(signal), signalScopes[scope]),
  resize: ({ columns, rows }) => call.resize(columns, rows)
})

/** Sends all of it, then the end; a process that reads no more gets no more, which is its own affair. */
export const feed = (input: Call.CallInput, source: InputSource): Effect.Effect<void, SandboxError> => {
  const writing =
    typeof source === "string" || source instanceof Uint8Array
      ? input.write(bytesOf(source))
      : Stream.runForEach(source, input.write)
  return Effect.zipRight(writing, input.end).pipe(
    Effect.catchIf(
      (error) => error === inputClosed,
      () => Effect.void
    )
  )
}

/** Keeps the beginning of an output, and its last bytes. */
const makeCollector = (bytesMax: number) => {
  const pieces: Array<Uint8Array> = []
  let length = 0
  let truncated = false
  let tail = Buffer.alloc(0)
  const take = (bytes: Uint8Array): void => {
    const room = bytesMax - length
    if (bytes.length > room) truncated = true
    if (room > 0) pieces.push(bytes.subarray(0, room))
    length += Math.min(room, bytes.length)
    tail = Buffer.concat([tail, bytes]).subarray(-tailBytesMax)
  }
  return {
    take,
    kept: (): Uint8Array => Buffer.concat(pieces),
    tail: (): string => tail.toString(),
    truncated: (): boolean => truncated
  }
}

const exec = Effect.fnUntraced(function* (
  session: Session,
  command: Command,
  { outputBytesMax = outputBytesMaxDefault, stdin, timeLimit, ...options }: ExecOptions
): Effect.fn.Return<ExecResult, SandboxError, Scope.Scope> {
  const stdout = makeCollector(outputBytesMax)
  const stderr = makeCollector(outputBytesMax)
  const running = Effect.gen(function* () {
    // Streams and fibers would cost more than all else that is done here.
    const takers = [stdout.take, stderr.take] as const
    const { call } = yield* begin(
      session,
      command,
      { ...options, stdin: stdin !== undefined },
      { untilExit: true, takers }
    )
    const ended = Effect.flatMap(call.outcome, exitOf)
    // What a process has not read when it ends is its own affair.
    if (stdin !== undefined) yield* Effect.raceFirst(feed(call.input, stdin), Effect.asVoid(ended))
    const exit = yield* ended
    yield* call.taken
    return exit
  })
  const exit = yield* timeLimit === undefined
    ? running
    : Effect.timeoutFail(running, {
        duration: timeLimit,
        onTimeout: () => tooLong(timeLimit, stdout.tail(), stderr.tail())
      })
  const bytes = { stdout: stdout.kept(), stderr: stderr.kept() }
  return {
    ...exit,
    stdout: Buffer.from(bytes.stdout).toString(),
    stderr: Buffer.from(bytes.stderr).toString(),
    bytes,
    truncated: stdout.truncated() || stderr.truncated()
  }
})

const tooLong = (limit: Duration.DurationInput, stdout: string, stderr: string) =>
  new SandboxError({
    reason: "TimeLimit",
    detail: `The command ran longer than ${Duration.format(limit)} and was killed.`,
    hint: "`stdout` and `stderr` have the last that it said. Give it more time.",
    stdout,
    stderr
  })
