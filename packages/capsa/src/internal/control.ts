import { type Machine, MachineError, type VmExit } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StopOptions, Vm } from "../Vm.ts"
import type { Journal } from "./journal.ts"

const graceDefault = "10 seconds"

/** All by which a machine is steered. `wait` gives its end. */
export const make = Effect.fnUntraced(function* (machine: Machine, journal: Journal, wait: Effect.Effect<VmExit>) {
  // Pausing, going on and the power button come one after the other; a kill waits for nobody.
  const alone = (yield* Effect.makeSemaphore(1)).withPermits(1)

  const kill = Effect.gen(function* () {
    yield* journal.stopping
    yield* machine.kill
    return yield* wait
  }).pipe(Effect.withSpan("Vm.kill"))

  const press = Effect.gen(function* () {
    const { _tag } = yield* journal.status
    if (_tag === "Ended" || _tag === "Stopping") return
    if (_tag === "Paused") yield* machine.resume
    yield* journal.stopping
    yield* machine.powerOff
  }).pipe(alone)

  const stop = Effect.fn("Vm.stop")(function* (options?: StopOptions) {
    const obeyed = yield* Effect.zipRight(press, wait).pipe(
      Effect.tapError((error) => Effect.logWarning("the power button does not work: killing the machine", error)),
      Effect.timeoutOption(options?.grace ?? graceDefault),
      Effect.catchAll(() => Effect.succeedNone)
    )
    if (Option.isSome(obeyed)) return obeyed.value
    return yield* kill
  })

  /** Goes from one state to the other and does nothing if it is reached; fails in all others. */
  const toggle = (from: "Running" | "Paused", act: Effect.Effect<void, MachineError>, done: Effect.Effect<void>) =>
    Effect.gen(function* () {
      const { _tag } = yield* journal.status
      if (_tag === from) return yield* Effect.zipRight(act, done)
      if (_tag === "Stopping" || _tag === "Ended") return yield* notRunning
    }).pipe(alone)

  return {
    kill,
    stop,
    pause: toggle("Running", machine.pause, journal.paused).pipe(Effect.withSpan("Vm.pause")),
    resume: toggle("Paused", machine.resume, journal.resumed).pipe(Effect.withSpan("Vm.resume"))
  } satisfies Pick<Vm, "kill" | "stop" | "pause" | "resume">
})

const notRunning = new MachineError({
  reason: "NotRunning",
  detail: "The machine has ended, or is ending.",
  hint: "Launch another; `vm.wait` tells how this one ended."
})
