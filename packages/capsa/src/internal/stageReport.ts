/** Tells the stages of a boot: to the log, the metrics and the trace. */
import { type BootStage, BootStageName } from "@capsa/core"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Metrics from "../Metrics.ts"
import type { Identity } from "./identity.ts"

/** A stage, with the time at which the one before it was reached. */
interface Step extends BootStage {
  readonly sinceMs: number
}

/** Gives what is to be done when a stage becomes known. */
export const make = Effect.fnUntraced(function* (bootAtMs: number, identity: Identity) {
  const inTrace = yield* spanOf(identity)
  const duration = Metric.tagged(Metrics.stageDuration, "vm.backend", identity["vm.backend"])
  const stepsTo = inOrder(bootAtMs)
  const tell = (step: Step) =>
    Effect.logDebug(`reached ${step.name} after ${Math.round(step.atMs)} ms`).pipe(
      Effect.zipRight(Metric.update(Metric.tagged(duration, "vm.stage", step.name), (step.atMs - step.sinceMs) / 1000)),
      Effect.zipRight(Effect.sync(() => inTrace(step)))
    )
  return (stage: BootStage): Effect.Effect<void> =>
    Effect.suspend(() => Effect.forEach(stepsTo(stage), tell, { discard: true }))
})

/**
 * Holds a stage back until those before it are known: the kernel's first word may arrive here before the backend's news that
 * the machine has started.
 */
const inOrder = (bootAtMs: number): ((stage: BootStage) => ReadonlyArray<Step>) => {
  const known = new Map<BootStageName, BootStage>()
  let reported = 0
  let sinceMs = bootAtMs
  return (stage) => {
    known.set(stage.name, stage)
    const awaited = BootStageName.literals.slice(reported).map((name) => known.get(name))
    const next = Arr.takeWhile(awaited, Predicate.isNotUndefined)
    reported += next.length
    return next.map((stage) => {
      const step: Step = { ...stage, sinceMs: Math.min(sinceMs, stage.atMs) }
      sinceMs = Math.max(sinceMs, stage.atMs)
      return step
    })
  }
}

/** Makes a child of the launch's span that lasted as long as the stage. */
const spanOf = (identity: Identity) =>
  Effect.zipWith(Effect.tracer, Effect.option(Effect.currentSpan), (tracer, current) => {
    const launch = Option.getOrUndefined(current)
    if (launch?.sampled !== true) return () => {}
    const nanos = (ms: number) => launch.status.startTime + BigInt(Math.round(ms * 1e6))
    return ({ atMs, name, sinceMs }: Step) => {
      const parent = Option.some(launch)
      const span = tracer.span(`Vm.launch.${name}`, parent, Context.empty(), [], nanos(sinceMs), "internal")
      for (const [key, value] of Object.entries({ ...identity, "vm.stage": name })) span.attribute(key, value)
      span.end(nanos(atMs), Exit.void)
    }
  })
