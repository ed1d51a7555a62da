/** Where the log goes: to stderr, in few words for people, in full for programs. */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"

const forPeople = ({ faint }: Style.Style) =>
  Logger.make(({ logLevel, message }) => {
    const words = [message].flat().map((part) => Inspectable.toStringUnknown(part))
    const level = logLevel === LogLevel.Info ? "" : `${logLevel.label.toLowerCase()}: `
    process.stderr.write(`${faint(`${level}${words.join(" ")}`)}\n`)
  })

/** Replaces the default logger. @category layers */
export const layer: Layer.Layer<never, never, Stdio> = Layer.unwrapEffect(
  Effect.map(Stdio, ({ stderr }) =>
    Logger.replace(
      Logger.defaultLogger,
      stderr.isTerminal ? forPeople(Style.of(stderr)) : Logger.withConsoleError(Logger.logfmtLogger)
    )
  )
)
