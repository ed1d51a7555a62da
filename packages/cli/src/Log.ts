/** Where the log goes: to stderr, in few words for people, in full for everybody else. */
import * as Inspectable from "effect/Inspectable"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Style from "./Style.ts"

const forPeople = Logger.make(({ logLevel, message }) => {
  const { faint } = Style.of({ colours: Bun.env["NO_COLOR"] === undefined })
  const words = [message].flat().map((part) => Inspectable.toStringUnknown(part))
  const level = logLevel === LogLevel.Info ? "" : `${logLevel.label.toLowerCase()}: `
  process.stderr.write(`${faint(`${level}${words.join(" ")}`)}\n`)
})

/** Replaces the default logger. @category layers */
export const layer: Layer.Layer<never> = Logger.replace(
  Logger.defaultLogger,
  process.stderr.isTTY ? forPeople : Logger.withConsoleError(Logger.logfmtLogger)
)
