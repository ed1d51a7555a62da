/**
 * Progress as one line at the foot of a terminal, for programs.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { Progress } from "./Progress.ts"

/**
 * Shows the stage on standard error, once one lasts for a second, with the seconds since work began; gone when the
 * layer's scope closes. Nothing at all when standard error is no terminal.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = Layer.unwrapScoped(
  Effect.gen(function* () {
    if (!process.stderr.isTTY) return Layer.empty
    const started = yield* Clock.currentTimeMillis
    const phrase = yield* Ref.make("")
    const draw = Effect.gen(function* () {
      const seconds = Math.floor(((yield* Clock.currentTimeMillis) - started) / 1000)
      const current = yield* Ref.get(phrase)
      if (current !== "") yield* write(`${clear}${current} (${seconds} s)`)
    })
    yield* Effect.addFinalizer(() => write(clear))
    yield* Effect.forkScoped(Effect.schedule(draw, Schedule.spaced("1 second")))
    return Layer.succeed(Progress, { stage: (next) => Ref.set(phrase, next) })
  })
)

/** Back to the start of the line, and the line emptied. */
const clear = "\r\u001b[K"

const write = (text: string) =>
  Effect.sync(() => {
    process.stderr.write(text)
  })
