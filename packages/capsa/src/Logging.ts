/** The log: what its lines say, which of them are written, and how. docs/OBSERVABILITY.md has the whole of it. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Lines from "./internal/logLine.ts"

/** How much a line matters, least first. @category models */
export const Level = Schema.Literal("trace", "debug", "info", "warn", "error", "fatal")
/** @category models */
export type Level = typeof Level.Type

/** The parts of capsa that write lines. Programs may have their own; a line that names none is of `app`. @category models */
export const components = {
  vm: "the life of a machine: launch, stages, stop, end",
  console: "what is waited for on a console, and found or not",
  backend: "which backend was chosen, and what it does",
  pool: "machines that a pool launches, resets and destroys",
  state: "state folders, and what dead machines left behind",
  telemetry: "where figures and traces go",
  logging: "the log's own settings"
} as const

const required = {
  timestamp: Schema.Date.annotations({ description: "When it was written: ISO 8601, in UTC." }),
  level: Level.annotations({ description: Level.literals.map((level) => `\`${level}\``).join(", ") }),
  component: Schema.String.annotations({ description: "The part of the program that speaks." }),
  message: Schema.String.annotations({ description: "What there is to say, in words." })
}

const ofMachine = {
  "vm.id": Schema.UUID.annotations({ description: "The machine: a UUID." }),
  "vm.name": Schema.String.annotations({ description: "Its name, the user's or one made of the id." }),
  "vm.backend": Schema.String.annotations({ description: "What runs it: `kvm`, `qemu`, …" }),
  "correlation.id": Schema.String.annotations({
    description: "The same for all that belongs to one launch or operation."
  })
}

const told = (description: string) => Schema.optional(Schema.String).annotations({ description })

const ofFailure = {
  "error.type": told("Class and reason, `VmBootError.Timeout`: a row of [Failures](FAILURES.md)."),
  "error.message": told("What happened."),
  "error.hint": told("What to do about it."),
  "error.stack": told("The whole cause, if one was logged; several lines.")
}

const annotations = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** A line in the format `json`. Further fields are the annotations of whoever logged. @category models */
export const LogLine = Schema.Struct({ ...required, ...ofFailure }, annotations)
/** @category models */
export type LogLine = typeof LogLine.Type

/** A line about a machine. @category models */
export const MachineLogLine = Schema.Struct({ ...required, ...ofMachine, ...ofFailure }, annotations)
/** @category models */
export type MachineLogLine = typeof MachineLogLine.Type

/** A line as flat fields. @category models */
export interface LogFields {
  readonly [field: string]: string | number | boolean
  readonly timestamp: string
  readonly level: Level
  readonly component: string
  readonly message: string
}

/** Which lines are written: those of `level` and above, or of what is set for their component. @category models */
export interface LogFilter {
  readonly level?: LogThreshold | undefined
  readonly components: Readonly<Record<string, LogThreshold>>
}

/** @category models */
export const LogThreshold = Schema.Literal(...Level.literals, "off")
/** @category models */
export type LogThreshold = typeof LogThreshold.Type

const filterHelp = `levels (${LogThreshold.literals.join(", ")}) and component=level, with commas: info,console=debug`

const rule = /^(?:([a-z][\w.-]*)=)?([a-z]+)$/i

const parseFilter = (text: string): Either.Either<LogFilter, string> => {
  const components: Record<string, LogThreshold> = {}
  let level: LogThreshold | undefined
  for (const part of text.split(",")) {
    const [, component, word = ""] = rule.exec(part.trim()) ?? []
    const threshold = word.toLowerCase().replace(/^warning$/, "warn")
    if (!Schema.is(LogThreshold)(threshold)) return Either.left(`"${part}" is none of ${filterHelp}`)
    if (component === undefined) level = threshold
    else components[component] = threshold
  }
  return Either.right({ level, components })
}

const printFilter = ({ components, level }: LogFilter): string =>
  [...(level === undefined ? [] : [level]), ...Object.entries(components).map(([name, at]) => `${name}=${at}`)].join(
    ","
  )

/** A filter as it is written in `CAPSA_LOG`: `info,console=debug`. Fails with a `ParseError` that says what is wrong. @category models */
export const LogFilter: Schema.Schema<LogFilter, string> = Schema.transformOrFail(
  Schema.String,
  Schema.Struct({
    level: Schema.optional(LogThreshold),
    components: Schema.Record({ key: Schema.String, value: LogThreshold })
  }),
  {
    strict: true,
    decode: (text, _, ast) => Either.mapLeft(parseFilter(text), (why) => new ParseResult.Type(ast, text, why)),
    encode: (filter) => Either.right(printFilter(filter))
  }
)

/** @category models */
export const LogFormat = Schema.Literal("pretty", "json", "logfmt").annotations({
  message: ({ actual }) => ({ message: `"${actual}" is none of pretty, json, logfmt`, override: true })
})
/** @category models */
export type LogFormat = typeof LogFormat.Type

/** What holds where the environment says nothing. @category models */
export interface LoggingOptions {
  /** `info` if absent. */
  readonly level?: LogThreshold | undefined
  /** `logfmt` if absent. */
  readonly format?: LogFormat | undefined
  /** Paints what `pretty` shows second. */
  readonly faint?: ((text: string) => string) | undefined
}

const levels: Readonly<Record<LogThreshold, LogLevel.LogLevel>> = {
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error,
  fatal: LogLevel.Fatal,
  off: LogLevel.None
}

const writers = {
  json: () => Lines.json,
  logfmt: () => Lines.logfmt,
  pretty: Lines.pretty
} as const satisfies Record<LogFormat, (faint: (text: string) => string) => Lines.Writer>

/** A logger that gives a line in a format, whatever the filter. @category constructors */
export const make = ({ faint = identity, format = "logfmt" }: LoggingOptions = {}): Logger.Logger<unknown, string> => {
  const write = writers[format](faint)
  return Logger.make((line) => write(Lines.fieldsOf(line)))
}

/** Hands on only what a filter lets through. @category combinators */
export const filtered = <Output>(
  logger: Logger.Logger<unknown, Output>,
  { components, level = "info" }: LogFilter
): Logger.Logger<unknown, Output | undefined> => {
  const thresholds = new Map(Object.entries(components).map(([name, at]) => [name, levels[at]]))
  return Logger.make((line) => {
    const threshold = thresholds.get(Lines.componentOf(line)) ?? levels[level]
    return LogLevel.greaterThanEqual(line.logLevel, threshold) ? logger.log(line) : undefined
  })
}

/**
 * Writes the log to standard error: what `CAPSA_LOG` lets through, in the format that `CAPSA_LOG_FORMAT` names. If one of
 * them is wrong, a line says so and its default holds.
 *
 * @category layers
 */
export const layer = (options: LoggingOptions = {}): Layer.Layer<never> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const filter = yield* setting("CAPSA_LOG", Schema.decodeEither(LogFilter))
      const format = yield* setting("CAPSA_LOG_FORMAT", Schema.decodeUnknownEither(LogFormat))
      const { components = {}, level = options.level ?? "info" } = filter.value ?? {}
      const logger = make({ ...options, format: format.value ?? options.format })
      const thresholds = [level, ...Object.values(components)].map((at) => levels[at])
      return Layer.effectDiscard(Effect.forEach([...filter.problems, ...format.problems], tell)).pipe(
        Layer.provideMerge(
          Logger.replace(Logger.defaultLogger, filtered(Logger.withConsoleError(logger), { components, level }))
        ),
        // Effect drops what is below this before any logger sees it.
        Layer.provideMerge(Logger.minimumLogLevel(thresholds.reduce(Order.min(LogLevel.Order))))
      )
    })
  )

const tell = (problem: string) => Effect.annotateLogs(Effect.logWarning(problem), "component", "logging")

interface Setting<A> {
  /** What the environment says, if it says something that can be read. */
  readonly value: A | undefined
  readonly problems: ReadonlyArray<string>
}

const setting = <A>(
  name: string,
  read: (text: string) => Either.Either<A, ParseResult.ParseError>
): Effect.Effect<Setting<A>> =>
  Effect.map(Effect.option(Config.nonEmptyString(name)), (given) => {
    if (Option.isNone(given)) return { value: undefined, problems: [] }
    return Either.match(read(given.value), {
      onLeft: (error) => ({ value: undefined, problems: [`${name} is ignored: ${inOneLine(error)}`] }),
      onRight: (value) => ({ value, problems: [] })
    })
  })

const inOneLine = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ message }) => message)
    .join("; ")
