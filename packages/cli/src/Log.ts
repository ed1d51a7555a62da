/** Where the log goes: to stderr, in few words for people, in full for programs. */
import * as Logging from "capsa/Logging"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** Replaces the default logger. @category layers */
export const layer: Layer.Layer<never, never, Stdio> = Layer.unwrapEffect(
  Effect.map(Stdio, ({ stderr }) =>
    Logging.layer({ format: stderr.isTerminal ? "pretty" : "logfmt", faint: Style.of(stderr).faint })
  )
)
