/** The program `capsa`: its verbs and what their words mean. The code of a verb is loaded when it is called. */
import * as Args from "@effect/cli/Args"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { UsageError } from "./CliError.ts"
import * as Help from "./Help.ts"
import * as options from "./options.ts"
import { reporting } from "./Report.ts"
import { Stdio } from "./Stdio.ts"
import { version } from "./version.ts"

const program = { description: "Virtual machines from the command line.", options: options.program }

const verbs = {
  run: {
    description:
      "Boot a machine and attach its console; Ctrl-] leaves and ends it. Piped input is typed once init runs. With -- CMD ARGS… at the end: run that command in the machine, with this command's input, output and exit status.",
    options: options.run
  },
  guest: {
    usage: "build|info|path [tiny|debian]",
    description:
      "Build the images of the built-in guest, tell what they are, or where. Both if none is named: tiny, a kernel that is built from source in minutes and starts fastest, and debian, the distribution's.",
    options: options.guest
  },
  doctor: {
    description: "Look at this host: what can run a machine, what cannot, and what to do about it.",
    options: options.look
  },
  backends: { description: "List what can run a machine, and what each can do.", options: options.look },
  exec: {
    usage: "MACHINE -- CMD ARGS…",
    description:
      "Run a command in a machine of run --detach, with this command's input, output and exit status. Killed with it if it is interrupted.",
    options: options.exec
  },
  cp: {
    usage: "FROM TO",
    description:
      "Copy a file or folder into a machine of run --detach, or out of it: the path in the machine is written like web:/etc/hosts. Into the folder TO if there is one.",
    options: options.look
  },
  logs: {
    usage: "MACHINE",
    description: "Print what a machine of run --detach said on its console: the last of it, as much as is kept.",
    options: options.logs
  },
  stop: {
    usage: "MACHINE",
    description: "End a machine of run --detach: its guest ends its programs and switches itself off.",
    options: options.stop
  },
  ps: { description: "List the machines that are alive, whichever process launched them.", options: options.look },
  cleanup: {
    description: "Remove what machines left behind whose processes were killed.",
    options: options.cleanup
  },
  version: { description: "Print the version.", options: {} }
} satisfies Record<string, Help.Topic>

const isVerb = (word: string | undefined): word is keyof typeof verbs =>
  word !== undefined && Object.hasOwn(verbs, word)

/** Where the words are told apart: what is behind it is a command for the guest, and not ours to read. */
const separator = "--"

/** What a machine's own command could exit with, a failure of ours should not. */
const failedBesideCommand = 125

const machine = Args.text({ name: "machine" })

const execOf = (command: ReadonlyArray<string>) =>
  Command.make("exec", { machine, ...verbs.exec.options }, (given) =>
    Effect.gen(function* () {
      const verb = yield* Effect.promise(() => import("./Exec.ts"))
      const [program, ...args] = command
      if (program !== undefined) return yield* verb.exec({ ...given, command: [program, ...args] })
      const hint = `Name it at the end: capsa exec ${given.machine} -- sh -c 'echo hello'.`
      return yield* new UsageError({ reason: "InvalidValue", detail: "There is no command to run.", hint })
    }).pipe(reporting({ ...given, failedStatus: failedBesideCommand }))
  )

const cp = Command.make(
  "cp",
  { from: Args.text({ name: "from" }), to: Args.text({ name: "to" }), ...verbs.cp.options },
  (given) =>
    Effect.flatMap(
      Effect.promise(() => import("./Cp.ts")),
      (verb) => verb.cp(given)
    ).pipe(reporting(given))
)

const logs = Command.make("logs", { machine, ...verbs.logs.options }, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Logs.ts")),
    (verb) => verb.logs(given)
  ).pipe(reporting(given))
)

const stop = Command.make("stop", { machine, ...verbs.stop.options }, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Stop.ts")),
    (verb) => verb.stop(given)
  ).pipe(reporting(given))
)

const action = Args.choice<"build" | "info" | "path">(
  [
    ["build", "build"],
    ["info", "info"],
    ["path", "path"]
  ],
  { name: "action" }
)

const image = Args.choice<"tiny" | "debian">(
  [
    ["tiny", "tiny"],
    ["debian", "debian"]
  ],
  { name: "image" }
).pipe(Args.optional, Args.map(Option.getOrUndefined))

const guest = Command.make("guest", { action, image, ...verbs.guest.options }, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Guest.ts")),
    (verb) => verb.guest(given)
  ).pipe(reporting(given))
)

const runOf = (command: ReadonlyArray<string>) =>
  Command.make("run", verbs.run.options, (given) =>
    Effect.flatMap(
      Effect.promise(() => import("./Run.ts")),
      (verb) => verb.run({ ...given, command })
    ).pipe(reporting({ ...given, failedStatus: command.length > 0 ? failedBesideCommand : undefined }))
  )

const look = (given: { readonly json: boolean }) =>
  Effect.flatMap(
    Effect.promise(() => import("./Doctor.ts")),
    (verb) => verb.doctor(given)
  ).pipe(reporting(given))

const doctor = Command.make("doctor", verbs.doctor.options, look)

const backends = Command.make("backends", verbs.backends.options, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Backends.ts")),
    (verb) => verb.backends(given)
  ).pipe(reporting(given))
)

const ps = Command.make("ps", verbs.ps.options, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Ps.ts")),
    (verb) => verb.ps(given)
  ).pipe(reporting(given))
)

const cleanup = Command.make("cleanup", verbs.cleanup.options, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Cleanup.ts")),
    (verb) => verb.cleanup(given)
  ).pipe(reporting(given))
)

const printVersion = Command.make("version", verbs.version.options, () =>
  Effect.flatMap(Stdio, ({ stdout }) => stdout.write(`${version}\n`)).pipe(reporting({ json: false }))
)

const capsa = (command: ReadonlyArray<string>) =>
  Command.make("capsa", program.options, (given) =>
    given.checkSystem
      ? look(given)
      : reporting(given)(
          new UsageError({ reason: "UnknownVerb", detail: "No verb is given.", hint: "`capsa --help` lists them." })
        )
  ).pipe(
    Command.withSubcommands([
      runOf(command),
      execOf(command),
      cp,
      logs,
      stop,
      guest,
      doctor,
      backends,
      ps,
      cleanup,
      printVersion
    ])
  )

const parse = (words: ReadonlyArray<string>, command: ReadonlyArray<string>) =>
  Command.run(capsa(command), { name: "capsa", version, executable: "capsa" })(["bun", "capsa", ...words])

/** In our words where the parser's mislead. */
const wrongUsage = (error: ValidationError.ValidationError, words: ReadonlyArray<string>): UsageError => {
  const text = Bun.stripANSI(HelpDoc.toAnsiText(error.error)).replace(/\s+/g, " ").trim()
  const [, word] = /^Received unknown argument: '(.*)'$/.exec(text) ?? []
  const verb = words.find(isVerb)
  if (verb === undefined && words[0]?.startsWith("-") === false) {
    const detail = `There is no verb ${words[0]}.`
    return new UsageError({ reason: "UnknownVerb", detail, hint: "`capsa --help` lists them." })
  }
  const known = verb !== undefined && word?.startsWith("--") && Object.hasOwn(verbs[verb].options, word.slice(2))
  return new UsageError({
    reason: word === undefined || known ? "InvalidValue" : "UnknownOption",
    detail: word === undefined ? text : known ? `${word} needs a value.` : `There is no option or argument ${word}.`,
    hint: `\`capsa ${verb === undefined ? "" : `${verb} `}--help\` shows what there is.`
  })
}

const help = Effect.fnUntraced(function* (words: ReadonlyArray<string>) {
  const { stdout } = yield* Stdio
  const verb = words.find(isVerb)
  yield* stdout.write(
    verb === undefined ? Help.ofProgram(program, verbs, stdout) : Help.ofVerb(verb, verbs[verb], stdout)
  )
})

/** The parser's own help and its errors' texts come out here; completion scripts go to stdout as they are. */
const parserConsole = Effect.gen(function* () {
  const { stdout } = yield* Stdio
  const console = yield* Effect.console
  return {
    ...console,
    log: (text: string) => Effect.ignore(stdout.write(`${Bun.stripANSI(text).trimEnd()}\n`)),
    // It writes its errors and fails with them as well.
    error: () => Effect.void
  }
})

const dispatch = Effect.fnUntraced(function* (all: ReadonlyArray<string>) {
  const at = all.includes("run") || all.includes("exec") ? all.indexOf(separator) : -1
  const words = at < 0 ? all : all.slice(0, at)
  const command = at < 0 ? [] : all.slice(at + 1)
  if (at >= 0 && command.length === 0) {
    const detail = `There is no command behind ${separator}.`
    const nothing = new UsageError({ reason: "InvalidValue", detail, hint: "Name one, or leave it out." })
    return yield* reporting({ json: words.includes("--json") })(nothing)
  }
  if (words.includes("--help") || words.includes("-h")) return yield* reporting({ json: false })(help(words))
  return yield* parse(words, command).pipe(
    Effect.withConsole(yield* parserConsole),
    Effect.catchIf(
      (error) => error._tag !== "Told",
      (error) => reporting({ json: words.includes("--json") })(wrongUsage(error, words))
    )
  )
})

/** Runs the program on the words after its name. Succeeds with the exit status; what went wrong has been told. */
export const main = Effect.fn("Cli.main")(
  function* (words: ReadonlyArray<string>) {
    yield* dispatch(words)
    return 0
  },
  Effect.catchTag("Told", ({ status }) => Effect.succeed(status)),
  Effect.provide(CliConfig.layer({ isCaseSensitive: true }))
)
