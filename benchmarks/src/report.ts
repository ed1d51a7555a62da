/** Numbers as rows: for people a table, for machines JSON. */
import { cpus, release } from "node:os"
import * as Schema from "effect/Schema"

/** One figure. For a comparison, `peer` names the other side and `ratio` is ours over theirs (of the medians). */
export const Row = Schema.Struct({
  name: Schema.String,
  unit: Schema.String,
  samples: Schema.Int,
  p50: Schema.Number,
  p99: Schema.Number,
  peer: Schema.optional(Schema.String),
  ratio: Schema.optional(Schema.Number)
})
export type Row = typeof Row.Type

/** All rows of a run and where it ran. */
export const Report = Schema.Struct({
  machine: Schema.String,
  kernel: Schema.String,
  runtime: Schema.String,
  rows: Schema.Array(Row)
})
export type Report = typeof Report.Type

/** The value below which a share of the samples lies; the samples need no order. */
export const percentile = (samples: ReadonlyArray<number>, share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export const row = (name: string, unit: string, samples: ReadonlyArray<number>): Row => ({
  name,
  unit,
  samples: samples.length,
  p50: percentile(samples, 0.5),
  p99: percentile(samples, 0.99)
})

/** Our row, set against a peer's samples of the same thing. */
export const compare = (
  name: string,
  unit: string,
  ours: ReadonlyArray<number>,
  peer: string,
  theirs: ReadonlyArray<number>
): readonly [own: Row, other: Row] => {
  const other = row(`${name} (${peer})`, unit, theirs)
  const own = row(name, unit, ours)
  return [{ ...own, peer, ratio: own.p50 / other.p50 }, other]
}

export const report = (rows: ReadonlyArray<Row>): Report => ({
  machine: `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} processors`,
  kernel: release(),
  runtime: `Bun ${Bun.version}`,
  rows
})

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toPrecision(3)

/** A Markdown table, as docs/PERFORMANCE.md has them. */
export const table = ({ machine, kernel, runtime, rows }: Report): string => {
  const cells = [
    ["what", "unit", "samples", "p50", "p99", "against", "ratio"],
    ...rows.map(({ name, unit, samples, p50, p99, peer, ratio }) => [
      name,
      unit,
      String(samples),
      number(p50),
      number(p99),
      peer ?? "",
      ratio === undefined ? "" : ratio.toFixed(2)
    ])
  ]
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)))
  const lines = cells.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`
  return [`${machine}; Linux ${kernel}; ${runtime}`, "", lines[0], rule, ...lines.slice(1)].join("\n")
}
