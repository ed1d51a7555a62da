/** `capsa backends`: what can run a machine, and what each can do. */
import { BackendError, BackendName, Capabilities } from "@capsa/core"
import { featureFields } from "@capsa/core/Capabilities"
import * as MemorySize from "@capsa/core/MemorySize"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { writeJson } from "./Report.ts"
import { type Output, Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"
import { capabilitiesOf, survey } from "./Survey.ts"

/** What `capsa backends --json` prints. @category models */
export const BackendsReport = Schema.Struct({
  /** What is taken if nothing else is asked for; null if nothing can run a machine. */
  default: Schema.NullOr(BackendName),
  backends: Schema.Array(
    Schema.Struct({
      name: BackendName,
      available: Schema.Boolean,
      /** Why it is not available, and what to do about it. */
      error: Schema.optional(BackendError),
      capabilities: Schema.optional(Capabilities)
    })
  )
})
/** @category models */
export type BackendsReport = typeof BackendsReport.Type

/** Looks at all backends of this host. */
export const report: Effect.Effect<BackendsReport> = Effect.map(survey, ({ reports, choice }) => ({
  default: choice ?? null,
  backends: reports.map(({ backend, error }) => ({
    name: backend,
    available: error === undefined,
    ...(error === undefined ? {} : { error }),
    capabilities: capabilitiesOf(backend)
  }))
}))

const summary = (can: Capabilities): string =>
  [
    `${can.architectures.join(", ")} guests from ${can.kernels.join(", ")}`,
    `up to ${can.maxCpus} processors and ${MemorySize.format(can.maxMemoryMib)}`,
    `console: ${can.consoles.join(", ")}`,
    `devices by ${can.discovery.join(", ")}`,
    ...(can.pause ? ["pause"] : []),
    ...(can.powerButton ? ["power button"] : []),
    ...(can.panicNotifier ? ["panic notifier"] : []),
    ...Struct.entries(can.features).flatMap(([feature, { supported }]) =>
      supported ? [featureFields[feature].name] : []
    )
  ].join(" · ")

const toText = ({ backends, default: choice }: BackendsReport, output: Output<unknown>): string => {
  const { bad, faint, good, strong } = Style.of(output)
  const indented = (text: string) => Style.wrap(text, output.columns, 4)
  return backends
    .flatMap(({ name, available, error, capabilities }) => [
      `${available ? good("✓") : bad("✗")} ${strong(name)}  ${name === choice ? "default" : available ? "available" : "not available"}`,
      ...(error === undefined ? [] : [`    ${indented(error.message)}`, `  ${strong("→")} ${indented(error.hint)}`]),
      ...(capabilities === undefined ? [] : [`    ${faint(indented(summary(capabilities)))}`])
    ])
    .map((line) => `${line}\n`)
    .join("")
}

/** The verb. */
export const backends = Effect.fn("backends")(function* ({ json }: { readonly json: boolean }) {
  const { stdout } = yield* Stdio
  const found = yield* report
  if (json) return yield* writeJson(yield* Effect.orDie(Schema.encode(BackendsReport)(found)))
  return yield* stdout.write(toText(found, stdout))
})
