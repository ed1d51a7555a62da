/** `capsa ps`: the machines that are alive. */
import * as MemorySize from "@capsa/core/MemorySize"
import { MachineRecord } from "@capsa/state/MachineRecord"
import * as Machines from "@capsa/state/Machines"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { writeJson } from "./Report.ts"
import { type Output, Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** What `capsa ps --json` prints. @category models */
export const PsReport = Schema.Struct({ machines: Schema.Array(MachineRecord) })
/** @category models */
export type PsReport = typeof PsReport.Type

const headings = ["ID", "NAME", "BACKEND", "CPUS", "MEMORY", "OWNER", "AGE"]

const row = ({ backend, cpus, createdAt, id, memoryMib, name, owner }: MachineRecord, now: number) => [
  id,
  name,
  backend,
  String(cpus),
  MemorySize.format(memoryMib),
  String(owner),
  age(Math.max(0, now - createdAt))
]

/** In its two largest units. */
const age = (millis: number): string => {
  const seconds = Duration.seconds(Math.floor(millis / 1000))
  return Duration.format(seconds).split(" ").slice(0, 2).join(" ")
}

const toText = ({ machines }: PsReport, now: number, output: Output<unknown>): string => {
  if (machines.length === 0) return "No machine is alive.\n"
  const rows = [headings, ...machines.map((machine) => row(machine, now))]
  const widths = headings.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  const lines = rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
  return [Style.of(output).strong(lines[0] ?? ""), ...lines.slice(1)].map((line) => `${line}\n`).join("")
}

/** The verb. */
export const ps = Effect.fn("ps")(function* ({ json }: { readonly json: boolean }) {
  const { stdout } = yield* Stdio
  const report: PsReport = { machines: yield* Machines.alive }
  if (json) return yield* writeJson(yield* Effect.orDie(Schema.encode(PsReport)(report)))
  return yield* stdout.write(toText(report, yield* Clock.currentTimeMillis, stdout))
})
