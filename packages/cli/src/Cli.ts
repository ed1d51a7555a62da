/** The program `capsa`: its verbs and what their words mean. The code of a verb is loaded when it is called. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import { UsageError } from "./CliError.ts"
import * as options from "./options.ts"
import { reporting, Told } from "./Report.ts"
import { Stdio } from "./Stdio.ts"
import { version } from "./version.ts"

const doctor = ({ json }: { readonly json: boolean }) =>
  Effect.flatMap(
    Effect.promise(() => import("./Doctor.ts")),
    (verb) => verb.doctor({ json })
  ).pipe(reporting({ json }))

const runVerb = Command.make("run", options.run, (given) =>
  Effect.flatMap(
    Effect.promise(() => import("./Run.ts")),
    (verb) => verb.run(given)
  ).pipe(reporting(given))
).pipe(Command.withDescription("Boot a machine and attach its console. Ctrl-] leaves and ends it."))

const doctorVerb = Command.make("doctor", { json: options.json }, doctor).pipe(
  Command.withDescription("Look at this host: what can run a machine, what cannot, and what to do about it.")
)

const backendsVerb = Command.make("backends", { json: options.json }, ({ json }) =>
  Effect.flatMap(
    Effect.promise(() => import("./Backends.ts")),
    (verb) => verb.backends({ json })
  ).pipe(reporting({ json }))
).pipe(Command.withDescription("List what can run a machine, and what each can do."))

const versionVerb = Command.make("version", {}, () =>
  Effect.flatMap(Stdio, ({ stdout }) => stdout.write(`${version}\n`)).pipe(reporting({ json: false }))
).pipe(Command.withDescription("Print the version."))

const checkSystem = Options.boolean("check-system").pipe(Options.withDescription("The same as the verb doctor."))

const capsa = Command.make("capsa", { checkSystem, json: options.json }, ({ checkSystem, json }) =>
  checkSystem
    ? doctor({ json })
    : reporting({ json })(new UsageError({ detail: "No verb is given.", hint: "capsa --help lists them." }))
).pipe(
  Command.withDescription("Virtual machines from the command line."),
  Command.withSubcommands([runVerb, doctorVerb, backendsVerb, versionVerb])
)

const parse = Command.run(capsa, { name: "capsa", version, executable: "capsa" })

/** What the parser has to say, without the colours and the line breaks that it puts in. */
const wrongUsage = (error: ValidationError.ValidationError, words: ReadonlyArray<string>): UsageError => {
  const text = Bun.stripANSI(HelpDoc.toAnsiText(error.error)).replace(/\s+/g, " ").trim()
  const verb = ["run", "doctor", "backends", "version"].find((name) => name === words[0])
  return new UsageError({
    detail: text.replace(/^Received unknown argument: '(.*)'$/, "There is no option or argument $1."),
    hint: `${verb === undefined ? "capsa" : `capsa ${verb}`} --help shows what there is.`
  })
}

/**
 * Runs the program on the words after its name. Succeeds with the exit status; everything that went wrong has been told.
 */
export const main = Effect.fn("Cli.main")(function* (words: ReadonlyArray<string>) {
  const { stdout } = yield* Stdio
  const console = yield* Effect.console
  const helpOnStdout = (text: string) =>
    Effect.ignore(stdout.write(`${(stdout.colours ? text : Bun.stripANSI(text)).trimEnd()}\n`))
  return yield* parse(["bun", "capsa", ...words]).pipe(
    // The parser writes its errors itself; here they come as values.
    Effect.withConsole({ ...console, log: helpOnStdout, error: () => Effect.void }),
    Effect.catchAll((error) =>
      error._tag === "Told" ? error : reporting({ json: words.includes("--json") })(wrongUsage(error, words))
    ),
    Effect.as(0),
    Effect.catchTag("Told", ({ status }) => Effect.succeed(status)),
    Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false }))
  )
})
