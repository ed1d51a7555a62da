/** What the probes of all backends say about this host. */
import type { BackendName, Capabilities, ProbeReport } from "@capsa/core"
import { Backend } from "capsa"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"

/** @category models */
export interface Survey {
  /** In the order of preference. */
  readonly reports: ReadonlyArray<ProbeReport>
  /** What `Backend.auto` takes; absent if it would fail. */
  readonly choice: BackendName | undefined
}

/** What each backend can do where it works. */
export const capabilitiesOf = (backend: BackendName): Capabilities | undefined =>
  Backend.candidates.find(({ name }) => name === backend)?.capabilities

/** Tries all backends at once. */
export const survey: Effect.Effect<Survey> = Effect.gen(function* () {
  const reports = yield* Effect.all(
    Backend.candidates.map(({ probe }) => probe),
    { concurrency: "unbounded" }
  )
  const wanted = yield* Effect.orDie(Config.withDefault(Config.string("CAPSA_BACKEND"), "auto"))
  const usable = reports.filter(
    ({ backend, error }) => error === undefined && (wanted === "auto" || wanted === backend)
  )
  return { reports, choice: usable[0]?.backend }
}).pipe(Effect.withSpan("Survey"))
