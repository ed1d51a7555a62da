/** How errors are told: a line with the cause, a line with what to do; as data on request; and the exit status. */
import { BackendError, MachineError, StateError, VmBootError, VmConfigError } from "@capsa/core"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { RunError, UsageError } from "./CliError.ts"
import { Stdio, StdioError } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** Everything that a verb can fail with. @category models */
export const ReportedError = Schema.Union(
  BackendError,
  VmConfigError,
  VmBootError,
  MachineError,
  StateError,
  RunError,
  UsageError,
  StdioError
)
/** @category models */
export type ReportedError = typeof ReportedError.Type

/** A failure that its reader knows of already; `status` is what the process exits with. @category errors */
export class Told extends Data.TaggedError("Told")<{ readonly status: number }> {}

/** The status that a shell reports for a program which died of SIGPIPE: what pipelines expect when a reader leaves. */
const readerLeft = 141

/** The exit status of the process for an error. */
export const statusOf = (error: ReportedError): number => {
  if (error._tag === "UsageError") return 2
  if (error._tag === "RunError" && error.reason === "Timeout") return 124
  return error._tag === "StdioError" && error.reason === "Closed" ? readerLeft : 1
}

/** What stands under `"error"` where `--json` is asked for: the error as its schema writes it, and what it says. */
export const toData = (error: ReportedError) =>
  Effect.map(Effect.orDie(Schema.encode(ReportedError)(error)), (data) => ({
    ...data,
    message: error.message,
    hint: error.hint,
    retryable: error.retryable
  }))

/** The options of `capsa run` that set what a problem of the configuration is about. */
const optionOf: Record<string, string> = {
  "boot.kernel": "--kernel",
  "boot.initrd": "--initrd",
  "boot.cmdline": "--cmdline",
  cpus: "--cpus",
  memory: "--memory",
  limits: "--limit",
  name: "--name"
}

/** What is wrong and what to do, in pairs; and what the machine said. */
const partsOf = (error: ReportedError): ReadonlyArray<{ readonly what: string; readonly fix: string }> =>
  error._tag === "VmConfigError"
    ? error.problems.map(({ path, detail, hint }) => ({ what: `${optionOf[path] ?? path}: ${detail}`, fix: hint }))
    : [{ what: error.message, fix: error.hint }]

/** What a machine that did not come up said last, or the program that should have built its guest. */
const lastWords = (error: ReportedError): ReadonlyArray<string> => {
  if (error._tag !== "VmBootError") return []
  const said = error.reason === "GuestUnavailable" ? textOf(rootOf(error.cause)) : (error.consoleTail ?? "")
  return said === "" ? [] : said.trimEnd().split("\n").slice(-consoleLines)
}

const rootOf = (cause: unknown): unknown =>
  Predicate.hasProperty(cause, "cause") && cause.cause !== undefined ? rootOf(cause.cause) : cause

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause ?? ""))

const consoleLines = 12

/** The lines for people. */
export const toText = (error: ReportedError, output: { readonly colours: boolean }): string => {
  const { bad, faint, strong } = Style.of(output)
  const said = lastWords(error).map((line) => faint(`  | ${line.trimEnd()}`))
  const lines = partsOf(error).flatMap(({ what, fix }) => [`${bad(strong("capsa:"))} ${what}`, `${strong("→")} ${fix}`])
  return [...said, ...lines].map((line) => `${line}\n`).join("")
}

/** Writes one JSON value as a line on stdout. */
export const writeJson = (value: unknown) =>
  Effect.flatMap(Stdio, ({ stdout }) => stdout.write(`${JSON.stringify(value)}\n`))

/** Tells an error on stderr. */
const tell = (error: ReportedError) =>
  Effect.flatMap(Stdio, ({ stderr }) =>
    statusOf(error) === readerLeft ? Effect.void : stderr.write(toText(error, stderr))
  )

/** Tells an error on stdout, as data. */
const tellAsData = (error: ReportedError) =>
  Effect.flatMap(toData(error), (data) => Effect.ignore(writeJson({ error: data })))

/** Runs a verb; what goes wrong in it is told, on stderr or as data, and only the exit status is left. */
export const reporting =
  (options: { readonly json: boolean }) =>
  <A, R>(verb: Effect.Effect<A, ReportedError | Told, R>): Effect.Effect<A, Told, R | Stdio> =>
    Effect.catchAll(verb, (error) =>
      error._tag === "Told"
        ? error
        : Effect.zipRight(options.json ? tellAsData(error) : tell(error), new Told({ status: statusOf(error) }))
    )
