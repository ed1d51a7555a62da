/** A person or a pipe at the console of a machine. */
import type { BootStage } from "@capsa/core"
import type { Vm } from "capsa/Vm"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type Output, Stdio } from "./Stdio.ts"

/** Ctrl-] */
const leaveKey = 0x1d

/**
 * Writes all output of the console since the machine began, with the pace of the reader. Ends with the machine. Succeeds
 * with the number of bytes that the reader was too slow for.
 */
export const copyOutput = <E>({ console }: Vm, output: Output<E>) =>
  Effect.gen(function* () {
    // What came so far is taken in the same step in which the rest is subscribed to; only writing it takes time.
    const past = yield* console.history
    const writingPast = yield* Effect.fork(output.write(past))
    const { lost } = yield* Stream.runFoldEffect(
      console.chunks,
      { seen: past.length, lost: 0 },
      ({ seen, lost }, { bytes, position }) =>
        Fiber.join(writingPast).pipe(
          Effect.zipRight(output.write(bytes)),
          Effect.as({ seen: position + bytes.length, lost: lost + position - seen })
        )
    )
    yield* Fiber.join(writingPast)
    return lost + (yield* console.lost)
  })

/**
 * Types what comes from standard input into the console. On a terminal, succeeds when its user leaves, by Ctrl-] or by
 * closing the terminal; with a pipe it never does, so that the machine goes on without further input.
 */
export const copyInput = (vm: Vm) =>
  Effect.gen(function* () {
    const { stdin, stderr } = yield* Stdio
    if (stdin.isTerminal) {
      yield* stdin.raw
      yield* stderr.write("Ctrl-] leaves and ends the machine.\n")
      yield* typeUntilLeft(vm, stdin.bytes)
      return yield* stderr.write("\n")
    }
    yield* listening(vm)
    yield* Stream.runForEach(stdin.bytes, vm.console.write)
    return yield* Effect.never
  }).pipe(
    // The machine's end is told by those who wait for it.
    Effect.catchTag("MachineError", (error) => (error.reason === "NotRunning" ? Effect.never : error))
  )

/** Pieces of typing that wait for a guest which takes none; what is typed beyond is dropped. */
const typedAheadMax = 1024

/** Whatever the guest does, the keys are read, so that one can always leave. */
const typeUntilLeft = Effect.fnUntraced(function* <E>({ console }: Vm, keys: Stream.Stream<Uint8Array, E>) {
  const typed = yield* Queue.dropping<Uint8Array>(typedAheadMax)
  yield* Queue.take(typed).pipe(Effect.flatMap(console.write), Effect.forever, Effect.fork)
  yield* keys.pipe(
    Stream.takeWhile((pressed) => !pressed.includes(leaveKey)),
    Stream.runForEach((pressed) => Queue.offer(typed, pressed))
  )
})

/** How long after its first word a kernel that doesn't tell of its init is taken to have one. */
const initAfter = "5 seconds"

/** Waits until the guest takes input: the driver of a console drops what came before it. */
const listening = (vm: Vm) => {
  const reached = (name: BootStage["name"]) =>
    Stream.runDrain(Stream.takeUntil(vm.stageChanges, (stage) => stage.name === name))
  const init = reached("init")
  // The built-in guest always tells.
  return vm.config.boot === undefined
    ? init
    : Effect.raceFirst(init, Effect.zipRight(reached("kernel"), Effect.sleep(initAfter)))
}
