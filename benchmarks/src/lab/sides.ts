/** The same guest on capsa and on its peers, in the lab's virtual time: a program in the lab boots them and measures. */
import * as GuestImages from "@capsa/guest/GuestImages"
import * as Effect from "effect/Effect"
import { compare, percentile, type Row, row } from "../report.ts"
import { linesInLab } from "./run.ts"
import { type Boot, capsaSide, Line } from "./samples.ts"

const rounds = 3

/** The lab loses guests with so much to do; what has been measured until then counts. */
const labs = 12

const unit = "virtual µs"

/** Ours is set against the quickest of those others that have such a thing. */
const rows = (boots: ReadonlyArray<Boot>, peers: ReadonlyArray<string>): ReadonlyArray<Row> => {
  const of = (side: string, name: string) =>
    boots.filter((boot) => boot.side === side).flatMap(({ microseconds }) => microseconds[name] ?? [])
  const names = boots.filter(({ side }) => side === capsaSide).flatMap(({ microseconds }) => Object.keys(microseconds))
  return [...new Set(names)].flatMap((name) => {
    const [quickest, ...others] = peers
      .map((peer) => ({ peer, theirs: of(peer, name) }))
      .filter(({ theirs }) => theirs.length > 0)
      .toSorted((a, b) => percentile(a.theirs, 0.5) - percentile(b.theirs, 0.5))
    const ours = of(capsaSide, name)
    const compared = quickest ? compare(name, unit, ours, quickest.peer, quickest.theirs) : [row(name, unit, ours)]
    return [...compared, ...others.map(({ peer, theirs }) => row(`${name} (${peer})`, unit, theirs))]
  })
}

/** The sides in turn, as often as there are boots of them to do. */
const remaining = (boots: ReadonlyArray<Boot>, sides: ReadonlyArray<string>) =>
  Array.from({ length: rounds }, (_, round) =>
    sides.filter((side) => boots.filter((boot) => boot.side === side).length <= round)
  ).flat()

/** What the program, for Bun and absolute, measures of capsa and of these. */
export const measured = (program: string, peers: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { vmlinux } = yield* GuestImages.tiny
    const { disk } = yield* GuestImages.toolbox
    const boots: Array<Boot> = []
    for (let lab = 0; lab < labs; lab++) {
      const order = remaining(boots, [capsaSide, ...peers])
      if (order.length === 0) return rows(boots, peers)
      const part = { program, arguments: [vmlinux, disk, ...order], periodicTick: true }
      for (const line of yield* linesInLab(part, Line)) if (line !== null) boots.push(line)
    }
    return yield* Effect.dieMessage("the lab stood still again and again")
  })
