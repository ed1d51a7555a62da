/** What was measured of storage, and of whom. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { compare, percentile, type Row, row } from "../report.ts"

/** Microseconds of each measure: one for each boot. */
const Measures = Schema.Record({ key: Schema.String, value: Schema.Array(Schema.Number) })

export const Sides = Schema.Struct({
  capsa: Measures,
  peers: Schema.Record({ key: Schema.String, value: Measures })
})
export type Sides = typeof Sides.Type

/** Microseconds by measure, of one boot. */
export type Boot = Effect.Effect<Readonly<Record<string, number>>, unknown>

const append = (to: Record<string, Array<number>>, boot: Readonly<Record<string, number>>) => {
  for (const [name, microseconds] of Object.entries(boot)) to[name] = [...(to[name] ?? []), microseconds]
}

/** Boots all in turn. A boot in which the lab loses the guest is done again. */
export const measure = (rounds: number, capsa: Boot, peers: Readonly<Record<string, Boot>>) =>
  Effect.gen(function* () {
    const ours = {}
    const theirs = Object.entries(peers).map(([name, boot]) => ({ name, boot, measures: {} }))
    for (let round = 0; round < rounds; round++) {
      append(ours, yield* Effect.retry(capsa, { times: 2 }))
      for (const { boot, measures } of theirs) append(measures, yield* Effect.retry(boot, { times: 2 }))
    }
    const sides = { capsa: ours, peers: Object.fromEntries(theirs.map(({ name, measures }) => [name, measures])) }
    process.stdout.write(JSON.stringify(sides satisfies Sides))
  })

/** Ours is set against the quickest of the others. */
export const rows = ({ capsa, peers }: Sides): ReadonlyArray<Row> =>
  Object.entries(capsa).flatMap(([name, ours]) => {
    const others = Object.entries(peers)
      .map(([peer, measures]) => ({ peer, theirs: measures[name] ?? [] }))
      .toSorted((a, b) => percentile(a.theirs, 0.5) - percentile(b.theirs, 0.5))
    const [quickest, ...rest] = others
    if (quickest === undefined) return [row(name, "virtual µs", ours)]
    return [
      ...compare(name, "virtual µs", ours, quickest.peer, quickest.theirs),
      ...rest.map(({ peer, theirs }) => row(`${name} (${peer})`, "virtual µs", theirs))
    ]
  })
