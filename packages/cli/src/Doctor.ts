/** `capsa doctor`: what was tried on this host, what came of it, and what to do. */
import { BackendName, Finding } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Told, writeJson } from "./Report.ts"
import { type Output, Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"
import { survey } from "./Survey.ts"
import { duration } from "./Timing.ts"

/** What `capsa doctor --json` prints. @category models */
export const DoctorReport = Schema.Struct({
  /** The backend that `auto` takes; null if none can boot Linux here. */
  default: Schema.NullOr(BackendName),
  /** How long all probes took together. */
  probesMs: Schema.Number,
  findings: Schema.Array(Schema.Struct({ backend: BackendName, ...Finding.fields }))
})
/** @category models */
export type DoctorReport = typeof DoctorReport.Type

/** Examines this host. */
export const examine: Effect.Effect<DoctorReport> = Effect.gen(function* () {
  const begun = yield* Clock.currentTimeNanos
  const { reports, choice } = yield* survey
  const probesMs = Number((yield* Clock.currentTimeNanos) - begun) / 1e6
  const findings = reports.flatMap(({ backend, findings }) => findings.map((finding) => ({ backend, ...finding })))
  return { default: choice ?? null, probesMs, findings }
})

const toText = (report: DoctorReport, output: Output<unknown>): string => {
  const { bad, faint, good, strong, warning } = Style.of(output)
  const marks = { ok: good("✓"), warning: warning("!"), failed: bad("✗") }
  const told = (text: string) => Style.wrap(text, output.columns, 4)
  const lines = report.findings.flatMap(({ backend, check, status, detail, fix }, index) => [
    ...(report.findings[index - 1]?.backend === backend ? [] : [strong(backend)]),
    `  ${marks[status]} ${told(`${check}: ${detail}`)}`,
    ...(fix === undefined ? [] : [`  ${strong("→")} ${told(fix)}`])
  ])
  const verdict =
    report.default === null
      ? bad("Nothing can boot Linux on this host.")
      : `Machines run on ${strong(report.default)} unless another backend is asked for.`
  return `${lines.join("\n")}\n\n${verdict} ${faint(`(${duration(report.probesMs)})`)}\n`
}

/** The verb; exits with 1 if no backend can boot Linux. */
export const doctor = Effect.fn("doctor")(function* ({ json }: { readonly json: boolean }) {
  const { stdout } = yield* Stdio
  const report = yield* examine
  if (json) yield* writeJson(yield* Effect.orDie(Schema.encode(DoctorReport)(report)))
  else yield* stdout.write(toText(report, stdout))
  if (report.default === null) return yield* new Told({ status: 1 })
})
