/** What benchmarks inside of guests say from inside the lab, line by line. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Microseconds of each measure, of one boot. */
export const Boot = Schema.Struct({
  side: Schema.String,
  microseconds: Schema.Record({ key: Schema.String, value: Schema.Number })
})
export type Boot = typeof Boot.Type

/** null: something else is done, and the lab still runs. */
export const Line = Schema.NullOr(Boot)

const say = (line: typeof Line.Type) => Effect.sync(() => void process.stdout.write(`${JSON.stringify(line)}\n`))

export const alive = say(null)

export const capsaSide = "capsa"

/** Boots one side after the other. capsa once more before all: code is compiled and pages are cached in that. */
export const bootAll = (
  order: ReadonlyArray<string>,
  sides: Readonly<Record<string, Effect.Effect<Boot["microseconds"], unknown>>>
) =>
  Effect.gen(function* () {
    yield* sides[capsaSide] ?? Effect.void
    for (const side of order) {
      const boot = sides[side]
      if (boot !== undefined) yield* say({ side, microseconds: yield* boot })
    }
  })
