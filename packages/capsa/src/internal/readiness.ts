/** Whether a machine comes up as far as its launch waits for it, and in time. */
import { type BootStageName, type TimeSpan, VmBootError, type VmExit } from "@capsa/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Vm } from "../Vm.ts"

/** How much output an error carries. */
const tailBytesMax = 4096

/** How far a machine came and what it said last. */
type Seen = Pick<VmBootError, "stage" | "consoleTail">

/** What is seen of a machine whose backend is still at work. */
export const nothingSeen: Effect.Effect<Seen> = Effect.succeed({})

export const lookAt = (vm: Pick<Vm, "stages" | "console">): Effect.Effect<Seen> =>
  Effect.map(Effect.all([vm.stages, vm.console.history]), ([stages, history]) => ({
    stage: stages.at(-1)?.name,
    consoleTail: Buffer.from(history.subarray(-tailBytesMax)).toString()
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
    ...seen,
    field: "readyTimeout",
    detail: `The machine was not ready within ${Duration.format(readyTimeout)}.`,
    hint: lateHints[seen.stage ?? "created"]
  })

const slowBackend = "The backend itself took that long: the host may be overloaded. Give more time."
const noInit =
  "The kernel runs, but no first process was seen: `consoleTail` shows where it is. Give it more time. A kernel with `quiet` on its command line announces no process: leave that out, or let your init print the line `capsa: init`."

/** By the last stage that was reached. */
const lateHints: Record<BootStageName, string> = {
  created: slowBackend,
  loaded: slowBackend,
  started:
    "The kernel has printed nothing: check that it is made for this machine, and that `boot.console` is a console that it knows.",
  kernel: noInit,
  init: noInit,
  agent: noInit
}

/** Waits for the sign that a machine is ready; fails if its end comes first. */
export const before = (
  wait: Effect.Effect<VmExit>,
  ready: Effect.Effect<void>,
  seen: Effect.Effect<Seen>
): Effect.Effect<void, VmBootError> =>
  Effect.raceFirst(ready, Effect.flip(wait)).pipe(
    Effect.catchAll((exit) => Effect.flatMap(seen, (seen) => endedEarly(exit, seen)))
  )

const endedEarly = (exit: VmExit, seen: Seen) => {
  const { what, hint } = complaint(exit)
  return new VmBootError({ reason: "GuestEnded", ...seen, detail: `${what} before the machine was ready.`, hint })
}

const complaint = (exit: VmExit): { readonly what: string; readonly hint: string } => {
  switch (exit._tag) {
    case "Panic":
      return {
        what: `The guest's kernel panicked (${exit.message ?? "without a message"})`,
        hint: panicHint(exit.message)
      }
    case "PowerOff":
      return { what: "The guest switched itself off", hint: "`consoleTail` shows what it said last." }
    case "Reboot":
      return { what: "The guest asked for a restart", hint: "`consoleTail` shows what it said last." }
    case "Killed":
      return exit.reason === "LifetimeOver"
        ? { what: "The machine's `maxLifetime` was over", hint: "Give it a longer one than the boot takes." }
        : { what: "The machine was killed", hint: "Launch it again." }
    case "OutOfMemory":
      return {
        what: "The host's memory limit ended the machine",
        hint: "Raise the limit, or give the machine less memory."
      }
    case "Failed":
      return {
        what: `The monitor could not go on (${exit.detail})`,
        hint: "`capsa doctor` tells whether the host is fit."
      }
  }
}

const panicHint = (message = ""): string => {
  if (/root f/.test(message)) {
    return "Give the kernel a root file system: an initrd (`boot.initrd`) with an executable /init, or `root=` in `boot.cmdline`."
  }
  return /\binit\b/.test(message)
    ? "The first process must be there, executable, for this architecture, and must not end: look at the initrd, and at `init=` and `rdinit=` in `boot.cmdline`."
    : "`consoleTail` shows what the kernel said last."
}
