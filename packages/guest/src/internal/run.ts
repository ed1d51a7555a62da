import * as Command from "@effect/platform/Command"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { GuestError } from "../GuestError.ts"

/** How much of a failed command's output its error carries. */
const tailBytes = 4000

/** Runs `command` to its end; only a command that cannot be started fails. */
export const run = Effect.fnUntraced(
  function* (command: Command.Command, onLine?: (line: string) => Effect.Effect<void>) {
    const child = yield* Command.start(command)
    const collect = Stream.runFold(child.stdout, Array.of<Uint8Array>(), (chunks, chunk) => [...chunks, chunk])
    const report = (each: (line: string) => Effect.Effect<void>) =>
      child.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runForEach(each), Effect.as([]))
    const tail = child.stderr.pipe(
      Stream.decodeText(),
      Stream.runFold("", (text, chunk) => (text + chunk).slice(-tailBytes))
    )
    const [stdout, stderr] = yield* Effect.all([onLine === undefined ? collect : report(onLine), tail], {
      concurrency: 2
    })
    return { exitCode: Number(yield* child.exitCode), stdout: Buffer.concat(stdout), stderrTail: stderr.trim() }
  },
  Effect.scoped,
  (ran, command) => Effect.mapError(ran, (cause) => notStarted(Command.flatten(command)[0].command, cause))
)

/** Runs `command` and gives its standard output; a status other than zero is `BuildFailed`. */
export const output = Effect.fnUntraced(function* (
  command: Command.Command,
  onLine?: (line: string) => Effect.Effect<void>
) {
  const result = yield* run(command, onLine)
  if (result.exitCode === 0) return result.stdout
  const [{ command: name, args }] = Command.flatten(command)
  return yield* new GuestError({
    reason: "BuildFailed",
    subject: `${name} ${args.join(" ")} (status ${result.exitCode})`,
    hint: "read the end of its output in the cause; if a tool is missing, `bun run setup` installs it",
    cause: result.stderrTail
  })
})

const notStarted = (name: string, cause: unknown) =>
  new GuestError({
    reason: "ToolMissing",
    subject: name,
    hint: "`bun run setup` installs what building needs on Debian and Ubuntu; elsewhere install the program and try again",
    cause
  })
