import {
  type BackendError,
  type BootPlan,
  type BootStage,
  type Machine,
  MachineError,
  type VmBootError,
  type VmExit
} from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import type { Guest, Script, SimulatedStage } from "../Simulated.ts"

type BeforeStage = (stage: SimulatedStage, plan: BootPlan) => Effect.Effect<void, BackendError | VmBootError>

/** Pieces of console traffic that wait for the other side, each way. */
const pieces = 16

export const boot = Effect.fn("Simulated.boot")(function* (plan: BootPlan, script: Script, beforeStage: BeforeStage) {
  const startedAt = yield* Clock.currentTimeMillis
  const output = yield* Mailbox.make<Uint8Array>(pieces)
  const input = yield* Mailbox.make<Uint8Array>(pieces)
  const stages = yield* Mailbox.make<BootStage>()
  const exit = yield* Deferred.make<VmExit>()
  const button = yield* Deferred.make<void>()
  const running = yield* Effect.makeLatch(true)

  const end = (how: VmExit) =>
    Effect.zipRight(Effect.all([output.end, input.shutdown, stages.end]), Deferred.succeed(exit, how)).pipe(
      Effect.uninterruptible
    )
  yield* Effect.addFinalizer(() => end({ _tag: "Killed" }))

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
  const fiber = yield* script(guest).pipe(Effect.zipLeft(running.await), Effect.flatMap(end), Effect.forkScoped)

  const whileRunning = <A>(act: Effect.Effect<A>) =>
    Effect.flatMap(Deferred.isDone(exit), (over) => (over ? notRunning : Effect.asVoid(act)))

  return {
    console: Mailbox.toStream(output),
    consoleLost: Effect.succeed(0),
    stages: Mailbox.toStream(stages),
    write: (bytes) => whileRunning(input.offer(bytes)),
    powerOff: whileRunning(Deferred.succeed(button, undefined)),
    kill: Effect.zipRight(Fiber.interrupt(fiber), end({ _tag: "Killed" })),
    pause: whileRunning(running.close),
    resume: whileRunning(running.open),
    exit: Deferred.await(exit),
    stats: Effect.succeed({})
  } satisfies Machine
})

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
