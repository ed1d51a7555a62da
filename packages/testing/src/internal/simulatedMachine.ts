import { type BootStage, type KernelPlan, type Machine, MachineError, type VmExit } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import type { Guest, SimulatedOperation, SimulatedOptions } from "../Simulated.ts"
import { linux } from "./linux.ts"

/** Pieces of console traffic that wait for the other side, each way. */
const pieces = 16

export const boot = Effect.fn("Simulated.boot")(function* (plan: KernelPlan, options: SimulatedOptions) {
  const { guest: script = linux, beforeStage = nothing, beforeOperation = nothing, beforeExit = nothing } = options
  const startedAt = yield* Clock.currentTimeMillis
  const output = yield* Mailbox.make<Uint8Array>(pieces)
  const input = yield* Mailbox.make<Uint8Array>(pieces)
  const stages = yield* Mailbox.make<BootStage>()
  const button = yield* Deferred.make<void>()
  const running = yield* Effect.makeLatch(true)
  /** How it ended; `exit` says the same once it is reported. */
  const over = yield* Deferred.make<VmExit>()
  const exit = yield* Deferred.make<VmExit>()

  yield* Effect.forkScoped(
    Effect.gen(function* () {
      const how = yield* Deferred.await(over)
      yield* beforeExit(how, plan)
      yield* Effect.all([output.end, input.shutdown, stages.end])
      yield* Deferred.succeed(exit, how)
    })
  )
  const kill = Effect.asVoid(Deferred.succeed(over, { _tag: "Killed" }))
  yield* Effect.addFinalizer(() => Effect.zipRight(kill, Deferred.await(exit)))

  for (const name of ["created", "loaded", "started"] as const) {
    yield* beforeStage(name, plan)
    yield* stages.offer({ name, atMs: (yield* Clock.currentTimeMillis) - startedAt })
  }

  const guest: Guest = {
    plan,
    print: (data) => Effect.zipRight(running.await, output.offer(typeof data === "string" ? encode(data) : data)),
    readLine: makeReadLine(input),
    powerButton: Deferred.await(button)
  }
  // The machine's end waits for no script: one that cannot be interrupted is left behind, as a real guest would be.
  const life = yield* script(guest).pipe(
    Effect.catchAllDefect((defect) => Effect.succeed<VmExit>({ _tag: "Failed", detail: `The script died: ${defect}` })),
    Effect.zipLeft(running.await),
    Effect.flatMap((how) => Deferred.succeed(over, how)),
    Effect.forkDaemon
  )
  yield* Effect.forkScoped(Effect.zipRight(Deferred.await(over), Fiber.interruptFork(life)))

  const ended = Effect.zipRight(Deferred.await(over), notRunning)
  const whileRunning = <A, E>(act: Effect.Effect<A, E>) =>
    Effect.flatMap(Deferred.isDone(over), (done) => (done ? notRunning : Effect.raceFirst(Effect.asVoid(act), ended)))
  const told = (operation: SimulatedOperation, act: Effect.Effect<unknown>) =>
    whileRunning(Effect.zipRight(beforeOperation(operation, plan), act))

  return {
    console: Mailbox.toStream(output),
    consoleLost: Effect.succeed(0),
    stages: Mailbox.toStream(stages),
    // Nothing takes no place, as in real machines.
    write: (bytes) => whileRunning(bytes.byteLength === 0 ? Effect.void : input.offer(bytes)),
    powerOff: told("powerOff", Deferred.succeed(button, undefined)),
    kill,
    pause: told("pause", running.close),
    resume: told("resume", running.open),
    exit: Deferred.await(exit),
    stats: Effect.succeed({})
  } satisfies Machine
})

const nothing = () => Effect.void

const notRunning = new MachineError({
  reason: "NotRunning",
  detail: "The simulated machine has ended.",
  hint: "Launch another."
})

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const makeReadLine = (input: Mailbox.ReadonlyMailbox<Uint8Array>): Effect.Effect<string> => {
  let typed = ""
  const take = Effect.matchEffect(input.take, {
    // No more input: the machine has ended, and its script with it.
    onFailure: () => Effect.never,
    onSuccess: (bytes) =>
      Effect.sync(() => {
        typed += new TextDecoder().decode(bytes)
      })
  })
  const readLine: Effect.Effect<string> = Effect.suspend(() => {
    const end = typed.search(/[\r\n]/)
    if (end === -1) return Effect.zipRight(take, readLine)
    const line = typed.slice(0, end)
    typed = typed.slice(end + 1)
    return Effect.succeed(line)
  })
  return readLine
}
