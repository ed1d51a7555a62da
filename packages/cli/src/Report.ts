/** How errors are told: a line with the cause, a line with what to do; as data on request; and the exit status. */
import { MachineError, VmConfigError, VmError } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import * as Arr from "effect/Array"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RunError, runReasons, TargetError, targetReasons, UsageError, usageReasons } from "./CliError.ts"
import { Stdio, StdioError, stdioReasons } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** Everything that a verb can fail with. @category models */
export const ReportedError = Schema.Union(VmError, MachineError, RunError, TargetError, UsageError, StdioError)
/** @category models */
export type ReportedError = typeof ReportedError.Type

/** What each reason of the errors means that only the command line has. @category models */
export const reasons = {
  RunError: runReasons,
  TargetError: targetReasons,
  UsageError: usageReasons,
  StdioError: stdioReasons
} as const

/** A failure that its reader knows of already; `status` is what the process exits with. @category errors */
export class Told extends Data.TaggedError("Told")<{ readonly status: number }> {}

/** The status that a shell reports for a program which died of SIGPIPE: what pipelines expect when a reader leaves. */
const readerLeft = 141

/** The exit status of the process for an error; `other` is that of those which have none of their own. */
export const statusOf = (error: ReportedError, other = 1): number => {
  if (error._tag === "UsageError") return 2
  // As shells have it.
  if (error._tag === "SandboxError" && error.reason === "CannotStart") return error.errno === "ENOENT" ? 127 : 126
  if (error._tag === "RunError" && error.reason === "Timeout") return 124
  return error._tag === "StdioError" && error.reason === "Closed" ? readerLeft : other
}

/** What stands under `"error"` where `--json` is asked for: the error as its schema writes it, and what it says. */
export const toData = Failure.encode(ReportedError)

/** The options of `capsa run` that set what a problem of the configuration is about. */
const optionOf: Record<string, string> = {
  "boot.kernel": "--kernel",
  "boot.initrd": "--initrd",
  "boot.cmdline": "--cmdline",
  "boot.firmware": "--firmware",
  "boot.variables": "--variables",
  cpus: "--cpus",
  memory: "--memory",
  name: "--name"
}

/** With the options of the command line in place of the fields that they set. */
const withOptions = (error: ReportedError): ReportedError =>
  error._tag === "VmConfigError"
    ? new VmConfigError({
        reason: error.reason,
        problems: Arr.map(error.problems, (problem) => ({ ...problem, path: optionOf[problem.path] ?? problem.path }))
      })
    : error

/** How errors are told: as data or as lines, and as how many. @category models */
export interface ReportOptions extends Failure.TellOptions {
  readonly json: boolean
  /** The exit status for what has none of its own; 1 if absent. */
  readonly failedStatus?: number | undefined
}

/** The lines for people. */
export const toText = (
  error: ReportedError,
  output: { readonly colours: boolean },
  options?: Failure.TellOptions
): string => {
  const { bad, faint, strong } = Style.of(output)
  const paint = (line: Failure.Line): string => {
    switch (line.kind) {
      case "happened":
        return `${bad(strong("capsa:"))} ${line.text}`
      case "hint":
        return `${strong("→")} ${line.text}`
      default:
        return faint(Failure.format(line))
    }
  }
  return Failure.linesOf(withOptions(error), options)
    .map((line) => `${paint(line)}\n`)
    .join("")
}

/** Writes one JSON value as a line on stdout. */
export const writeJson = (value: unknown) =>
  Effect.flatMap(Stdio, ({ stdout }) => stdout.write(`${JSON.stringify(value)}\n`))

/** Tells an error on stderr. */
const tell = (error: ReportedError, options: ReportOptions) =>
  Effect.flatMap(Stdio, ({ stderr }) =>
    statusOf(error) === readerLeft ? Effect.void : stderr.write(toText(error, stderr, options))
  )

/** Tells an error on stdout, as data. */
const tellAsData = (error: ReportedError) =>
  Effect.flatMap(toData(error), (data) => Effect.ignore(writeJson({ error: data })))

/** Runs a verb; what goes wrong in it is told, on stderr or as data, and only the exit status is left. */
export const reporting =
  (options: ReportOptions) =>
  <A, R>(verb: Effect.Effect<A, ReportedError | Told, R>): Effect.Effect<A, Told, R | Stdio> =>
    Effect.catchAll(verb, (error) =>
      error._tag === "Told"
        ? error
        : Effect.zipRight(
            options.json ? tellAsData(error) : tell(error, options),
            new Told({ status: statusOf(error, options.failedStatus) })
          )
    )
