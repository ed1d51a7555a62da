import { type Machine, MachineError, type VmExit } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { StopOptions, Vm } from "../Vm.ts"
import type { Journal } from "./journal.ts"

const graceDefault = "10 seconds"

/**
 * All by which a machine is steered; `wait` gives its end. What was begun is carried through, also if the caller is
 * interrupted: a status is never left behind by what the machine does, and a machine that is `Stopping` always ends.
 */
export const make = Effect.fnUntraced(function* (machine: Machine, journal: Journal, wait: Effect.Effect<VmExit>) {
  // Pausing, going on and the power button come one after the other; a kill waits for nobody.
  const turn = yield* Effect.makeSemaphore(1)
  const inTurn = <A, E>(act: Effect.Effect<A, E>) => Effect.flatMap(detached(turn.withPermits(1)(act)), Fiber.join)

  const kill = journal
    .enter({ _tag: "Stopping" })
    .pipe(Effect.zipRight(machine.kill), Effect.uninterruptible, Effect.zipRight(wait), Effect.withSpan("Vm.kill"))

  const press = Effect.gen(function* () {
    if ((yield* journal.status)._tag === "Paused") yield* machine.resume
    if (yield* journal.enter({ _tag: "Stopping" })) yield* machine.powerOff
  }).pipe(inTurn)

  const endWithin = (grace: NonNullable<StopOptions["grace"]>) =>
    Effect.zipRight(press, wait).pipe(
      Effect.tapError((error) => Effect.logWarning("the power button does not work: killing the machine", error)),
      Effect.timeoutOption(grace),
      Effect.orElseSucceed(Option.none<VmExit>),
      Effect.flatMap(Option.match({ onNone: () => kill, onSome: (exit) => Effect.succeed(exit) }))
    )

  const stop = Effect.fn("Vm.stop")(function* (options?: StopOptions) {
    yield* detached(endWithin(options?.grace ?? graceDefault))
    return yield* wait
  })

  /** Goes from one state to the other and does nothing if it is reached; fails in all others. */
  const toggle = (from: "Running" | "Paused", to: "Running" | "Paused", act: Effect.Effect<void, MachineError>) =>
    Effect.gen(function* () {
      const { _tag } = yield* journal.status
      if (_tag === from) yield* Effect.zipRight(act, journal.enter({ _tag: to }))
      else if (_tag !== to) yield* notRunning
    }).pipe(inTurn)

  return {
    kill,
    stop,
    pause: toggle("Running", "Paused", machine.pause).pipe(Effect.withSpan("Vm.pause")),
    resume: toggle("Paused", "Running", machine.resume).pipe(Effect.withSpan("Vm.resume"))
  } satisfies Pick<Vm, "kill" | "stop" | "pause" | "resume">
})

/**
 * In a fiber of its own, which ends with the machine at the latest. There it can be interrupted by its time limits, also when
 * the caller is a finalizer.
 */
const detached = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkDaemon(Effect.interruptible(effect))

const notRunning = new MachineError({
  reason: "NotRunning",
  detail: "The machine has ended, or is ending.",
  hint: "Launch another; `vm.wait` tells how this one ended."
})
