/** What a log line says, as flat fields, and the three ways to write it down. */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as List from "effect/List"
import type * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Level, LogFields } from "../Logging.ts"

/** Writes a line, without its end. */
export type Writer = (fields: LogFields) => string

type Field = LogFields[string]

export const fieldsOf = (line: Logger.Logger.Options<unknown>): LogFields => {
  const [errors, words] = Arr.partition(Arr.ensure(line.message), (part) => !Predicate.isError(part))
  const isCause = !Cause.isEmpty(line.cause)
  const error = errors[0] ?? (isCause ? Cause.squash(line.cause) : undefined)
  const own = {
    timestamp: line.date.toISOString(),
    level: levelOf(line.logLevel),
    component: componentOf(line),
    message: words.map(textOf).join(" ")
  }
  return {
    // First for the order, last for the values.
    ...own,
    ...Object.fromEntries(Array.from(HashMap.entries(line.annotations), ([key, value]) => [key, fieldOf(value)])),
    ...Object.fromEntries(
      List.toArray(line.spans).map(({ label, startTime }) => [`elapsed.${label}`, line.date.getTime() - startTime])
    ),
    ...(error === undefined ? {} : errorFields(error)),
    ...(isCause ? { "error.stack": shown(() => Cause.pretty(line.cause)) } : {}),
    ...own
  }
}

export const componentOf = ({ annotations }: Logger.Logger.Options<unknown>): string =>
  Option.match(HashMap.get(annotations, "component"), { onNone: () => "app", onSome: textOf })

const levelOf = ({ ordinal }: LogLevel.LogLevel): Level => {
  if (ordinal < LogLevel.Debug.ordinal) return "trace"
  if (ordinal < LogLevel.Info.ordinal) return "debug"
  if (ordinal < LogLevel.Warning.ordinal) return "info"
  if (ordinal < LogLevel.Error.ordinal) return "warn"
  return ordinal < LogLevel.Fatal.ordinal ? "error" : "fatal"
}

const errorFields = (error: unknown): Readonly<Record<string, Field>> => ({
  "error.type": typeOf(error),
  "error.message": textOf(Predicate.isError(error) ? error.message : error),
  ...(Predicate.hasProperty(error, "hint") ? { "error.hint": textOf(error.hint) } : {})
})

/** "VmBootError.Timeout", "TypeError". */
export const typeOf = (error: unknown): string => {
  if (!Predicate.isError(error)) return typeof error
  return Predicate.hasProperty(error, "reason") ? `${error.name}.${textOf(error.reason)}` : error.name
}

const fieldOf = (value: unknown): Field =>
  Predicate.isBoolean(value) || (Predicate.isNumber(value) && Number.isFinite(value)) ? value : textOf(value)

const textOf = (value: unknown): string => shown(() => String(Inspectable.toStringUnknown(value, 0)))

/** Whoever logs may hand over anything, and is not to fail for it. */
const shown = (show: () => string): string => Option.getOrElse(Option.liftThrowable(show)(), () => "(cannot be shown)")

export const json: Writer = (fields) => JSON.stringify(fields)

export const logfmt: Writer = (fields) => {
  const { timestamp, level, component, message, ...others } = fields
  // Apart, since numbers among the names of others would come before them.
  return `${pairs({ timestamp, level, component, message })} ${pairs(others)}`.trimEnd()
}

/** For people: the words first, then what programs go by, in `faint`. */
export const pretty =
  (faint: (text: string) => string): Writer =>
  ({ timestamp: _, level, message, "error.message": error, "error.stack": stack, ...others }) => {
    const words = [...(level === "info" ? [] : [level]), message, ...(error === undefined ? [] : [error])].join(": ")
    return [`${words} ${faint(pairs(others))}`, ...(stack === undefined ? [] : [stack])].join("\n")
  }

const pairs = (fields: Readonly<Record<string, Field | undefined>>): string =>
  Object.entries(fields)
    .flatMap(([key, value]) =>
      value === undefined ? [] : [`${key.replace(/[\s="\p{C}]/gu, "_")}=${quoted(String(value))}`]
    )
    .join(" ")

const quoted = (text: string): string => (/^[^\s="\\\p{C}]+$/u.test(text) ? text : JSON.stringify(text))
