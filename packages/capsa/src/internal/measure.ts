/** Feeds the metrics of machines. */
import { Backend, type Machine, type VmExit } from "@capsa/core"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Metrics from "../Metrics.ts"
import type { ConsoleSink } from "./console.ts"
import { typeOf } from "./logLine.ts"

/** How much console output is counted at a time: one comparison a chunk is all that it costs in between. */
const batch = 65_536

/** Counts a launch when it is over. */
export const launch = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Backend> =>
  Effect.flatMap(Backend, ({ name }) =>
    Effect.onExit(effect, (exit) => {
      const launches = Metric.tagged(Metrics.launches, "vm.backend", name)
      const outcome = (outcome: string) => Metric.tagged(launches, "outcome", outcome)
      if (Exit.isSuccess(exit)) return Metric.increment(outcome("success"))
      if (Cause.isInterruptedOnly(exit.cause)) return Metric.increment(outcome("interrupted"))
      return Metric.increment(Metric.tagged(outcome("failure"), "error.type", typeOf(Cause.squash(exit.cause))))
    })
  )

/** Counts what a console says, from its position. */
export const consoleOf = (backend: string) => {
  const metric = Metric.tagged(Metrics.consoleBytes, "vm.backend", backend)
  let counted = 0
  const countTo = (position: number) => {
    metric.unsafeUpdate(position - counted, [])
    counted = position
  }
  return {
    /** Called for each chunk. */
    grown: (position: number) => {
      if (position - counted >= batch) countTo(position)
    },
    /** Called with the last position. */
    ended: countTo
  }
}

/** Counts a machine while it runs, and its end; `end` gives that. */
export const life = <E, R>(
  end: Effect.Effect<VmExit, E, R>,
  machine: Machine,
  { missed }: ConsoleSink,
  backend: string
) => {
  const running = Metric.tagged(Metrics.running, "vm.backend", backend)
  const exits = Metric.tagged(Metrics.exits, "vm.backend", backend)
  const lost = Metric.tagged(Metrics.consoleLost, "vm.backend", backend)
  const lostBy = (whom: string) => Metric.tagged(lost, "lost.by", whom)
  return Effect.acquireUseRelease(
    Metric.increment(running),
    () =>
      Effect.tap(end, ({ _tag }) =>
        Effect.all([
          Metric.increment(Metric.tagged(exits, "vm.exit", _tag)),
          Effect.flatMap(machine.consoleLost, (bytes) => Metric.incrementBy(lostBy("backend"), bytes)),
          Effect.suspend(() => Metric.incrementBy(lostBy("reader"), missed()))
        ])
      ),
    () => Metric.incrementBy(running, -1)
  )
}
