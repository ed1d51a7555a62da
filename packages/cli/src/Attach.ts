/** A person or a pipe at the console of a machine. */

import type { BootStage } from "@capsa/core"
import { isBuiltin } from "@capsa/core/BootConfig"
import type { Vm } from "capsa/Vm"
import * as Effect from "effect/Effect"
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
  Stream.runFoldEffect(console.chunksFrom(0), 0, (lost, chunk) =>
    Effect.as(output.write(chunk.bytes), lost + chunk.lost)
  ).pipe(Effect.zipWith(console.lost, (lost, dropped) => lost + dropped))

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

/** A kernel that doesn't tell of its init is taken to have one when it has said something, and then nothing for so long. */
const silence = "5 seconds"

/** Waits until the guest takes input: the driver of a console drops what came before it. */
const listening = (vm: Vm) => {
  const reached = (name: BootStage["name"]) =>
    Stream.runDrain(Stream.takeUntil(vm.stageChanges, (stage) => stage.name === name))
  const init = reached("init")
  // The built-in guest always tells.
  if (isBuiltin(vm.config.boot)) return init
  const silent = Stream.runDrain(Stream.timeout(vm.console.chunks, silence))
  return Effect.raceFirst(init, Effect.zipRight(reached("kernel"), silent))
}
