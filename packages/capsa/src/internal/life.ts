/** The life of a machine, from its first instruction to its end: the same for all backends. */
import type { Machine, TimeSpan, VmConfig, VmExit } from "@capsa/core"
import { defaults } from "@capsa/core/ConfigDefaults"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Console from "./console.ts"
import * as Control from "./control.ts"
import type { HostActs } from "./exitRefinement.ts"
import * as Journal from "./journal.ts"
import { pump } from "./output.ts"
import * as Readiness from "./readiness.ts"

/**
 * Brings a machine up, within its `readyTimeout`, and leads it until the scope closes. `millisSinceLaunch` counts from
 * when the launch was asked for.
 */
export const make = Effect.fnUntraced(function* <E, R>(
  boot: Effect.Effect<Machine, E, R>,
  config: VmConfig,
  millisSinceLaunch: Effect.Effect<number>
) {
  const bootAt = yield* millisSinceLaunch
  const inTime = yield* Readiness.deadline(config.readyTimeout, millisSinceLaunch)
  const machine = yield* inTime(boot, Readiness.nothingSeen)
  const journal = yield* Journal.make(millisSinceLaunch)
  const sink = Console.make(machine, config.console?.historyBytes ?? defaults.historyBytes)
  const acts: HostActs = { killedStandingStill: false, lifetimeOver: false }
  const { end, ready } = yield* pump(machine, sink, journal, bootAt, acts)
  const ended = yield* Deferred.make<VmExit>()
  yield* end.pipe(
    Effect.tap((exit) => journal.enter({ _tag: "Ended", exit })),
    Effect.tap((exit) => Effect.logDebug("machine ended", exit)),
    Effect.flatMap((exit) => Deferred.succeed(ended, exit)),
    Effect.forkScoped
  )
  const wait = Deferred.await(ended)
  const control = yield* Control.make(machine, journal, wait)
  // Runs before all other finalizers, while the fibers above still take the last output.
  yield* Effect.addFinalizer(() => control.kill)
  yield* Effect.logDebug("machine started")
  if (config.maxLifetime !== undefined) {
    yield* Effect.forkScoped(endAfter(config.maxLifetime, wait, control.stop(), acts))
  }
  const { status, statusChanges, stages, stageChanges } = journal
  const { console } = sink
  if (config.readyTimeout !== undefined) {
    const seen = Readiness.lookAt({ stages, console }, config)
    yield* inTime(Readiness.before(wait, ready, seen), seen)
  }
  return { status, statusChanges, stages, stageChanges, console, wait, stats: machine.stats, ...control }
})

const endAfter = (lifetime: TimeSpan, wait: Effect.Effect<VmExit>, stop: Effect.Effect<VmExit>, acts: HostActs) =>
  Effect.timeoutOption(wait, lifetime).pipe(
    Effect.filterOrElse(Option.isSome, () => {
      acts.lifetimeOver = true
      return Effect.zipRight(
        Effect.logWarning(`the machine has lived for ${Duration.format(lifetime)}, its maxLifetime: stopping it`),
        stop
      )
    })
  )
