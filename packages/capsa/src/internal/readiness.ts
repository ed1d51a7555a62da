/** Whether a machine comes up as far as its launch waits for it, and in time. */
import { type BootStageName, type TimeSpan, VmBootError, type VmConfig, type VmExit } from "@capsa/core"
import { isDirect } from "@capsa/core/BootConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Vm } from "../Vm.ts"
import { bootFailure, carried, type Seen } from "./bootFailure.ts"

/** What is seen of a machine whose backend is still at work. */
export const nothingSeen: Effect.Effect<Seen> = Effect.succeed({ stage: undefined, output: "", initrd: undefined })

export const lookAt = (vm: Pick<Vm, "stages" | "console">, { boot }: VmConfig): Effect.Effect<Seen> =>
  Effect.map(Effect.all([vm.stages, vm.console.history]), ([stages, history]) => ({
    stage: stages.at(-1)?.name,
    output: Buffer.from(history).toString(),
    initrd: isDirect(boot) ? boot.initrd : undefined
  }))

/** Limits each effect that it is put around to what is left, from now on, of `readyTimeout`. */
export const deadline = Effect.fnUntraced(function* (
  readyTimeout: TimeSpan | undefined,
  stopwatch: Effect.Effect<number>
) {
  const startedAt = yield* stopwatch
  return <A, E, R>(effect: Effect.Effect<A, E, R>, seen: Effect.Effect<Seen>): Effect.Effect<A, E | VmBootError, R> =>
    readyTimeout === undefined
      ? effect
      : Effect.flatMap(stopwatch, (now) =>
          Effect.timeoutOption(effect, Math.max(0, Duration.toMillis(readyTimeout) - (now - startedAt)))
        ).pipe(
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.flatMap(seen, (seen) => tooLate(readyTimeout, seen)),
              onSome: Effect.succeed
            })
          )
        )
})

const tooLate = (readyTimeout: TimeSpan, seen: Seen) =>
  new VmBootError({
    reason: "Timeout",
    ...carried(seen),
    field: "readyTimeout",
    detail: `The machine was not ready within ${Duration.format(readyTimeout)}.`,
    hint: lateHints[seen.stage ?? "created"]
  })

const slowBackend = "The backend itself took that long: the host may be overloaded. Give more time."
const noInit =
  "The kernel runs, but no first process was seen: `consoleTail` shows where it is. Give it more time. A kernel with `quiet` on its command line announces no process: leave that out, or let your init print the line `capsa: init`."

const noAgent =
  "The first process runs, but no agent answers: give it more time, or check that the initrd has capsa's as its `/init`."

/** By the last stage that was reached. */
const lateHints: Record<BootStageName, string> = {
  created: slowBackend,
  loaded: slowBackend,
  started:
    "The kernel has printed nothing: check that it is made for this machine, and that `boot.console` is a console that it knows.",
  kernel: noInit,
  init: noAgent,
  agent: "The agent is at work on the guest's start: `consoleTail` may show on what. Give it more time."
}

/** Waits until a machine is ready; fails if its end comes first. */
export const before = <A, E, R>(
  wait: Effect.Effect<VmExit>,
  ready: Effect.Effect<A, E, R>,
  seen: Effect.Effect<Seen>
): Effect.Effect<A, E | VmBootError, R> => {
  const ended = Effect.flatMap(wait, (exit) => Effect.flatMap(seen, (seen) => Effect.fail(bootFailure(exit, seen))))
  return Effect.raceFirst(ready, ended)
}
