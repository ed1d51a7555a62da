/** The life of a machine, from its first instruction to its end: the same for all backends. */
import type { Machine, VmConfig, VmExit } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Console from "./console.ts"
import * as Control from "./control.ts"
import * as Journal from "./journal.ts"
import { pump } from "./output.ts"

const historyBytesDefault = 1024 * 1024

/**
 * Brings a machine up and leads it until the scope closes. `millisSinceLaunch` counts from when the launch was asked for.
 */
export const make = Effect.fnUntraced(function* <E, R>(
  boot: Effect.Effect<Machine, E, R>,
  config: VmConfig,
  millisSinceLaunch: Effect.Effect<number>
) {
  const bootAt = yield* millisSinceLaunch
  const machine = yield* boot
  const journal = yield* Journal.make(millisSinceLaunch)
  const sink = Console.make(machine, config.console?.historyBytes ?? historyBytesDefault)
  const end = yield* pump(machine, sink, journal, bootAt)
  const ended = yield* Deferred.make<VmExit>()
  yield* end.pipe(
    Effect.tap(journal.ended),
    Effect.tap((exit) => Effect.logDebug("machine ended", exit)),
    Effect.flatMap((exit) => Deferred.succeed(ended, exit)),
    Effect.forkScoped
  )
  const wait = Deferred.await(ended)
  const control = yield* Control.make(machine, journal, wait)
  // Runs before all other finalizers, while the fibers above still take the last output.
  yield* Effect.addFinalizer(() => control.kill)
  yield* Effect.logDebug("machine started")
  const { status, statusChanges, stages, stageChanges } = journal
  return { status, statusChanges, stages, stageChanges, console: sink.console, wait, stats: machine.stats, ...control }
})
