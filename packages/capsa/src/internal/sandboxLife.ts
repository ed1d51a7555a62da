/** A machine and its agent as one. */
import type { VmExit } from "@capsa/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Sandbox } from "../Sandbox.ts"
import type { StopOptions, Vm } from "../Vm.ts"
import * as Files from "./agent/files.ts"
import * as Agent from "./agent/sandbox.ts"
import type { Session } from "./agent/session.ts"

const graceDefault = "5 seconds"
/** What a guest needs beyond the grace to switch itself off. */
const switchOffTime = "5 seconds"

export const make = (
  vm: Vm,
  session: Session,
  asMachine: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Sandbox => ({ ...vm, ...Agent.make(session), shutdown: (options) => asMachine(shutdown(vm, session, options)) })

/** A guest that does not obey, or cannot be asked any more, is killed. */
const shutdown = Effect.fn("Sandbox.shutdown")(function* (vm: Vm, session: Session, options?: StopOptions) {
  const grace = Duration.decode(options?.grace ?? graceDefault)
  const asking = Files.ask(session, "shutdown", { graceMs: Math.round(Duration.toMillis(grace)) }, Files.Nothing)
  const ended = yield* Effect.zipRight(asking, vm.wait).pipe(
    Effect.tapError((error) => Effect.logWarning("the agent does not shut the machine down", error)),
    Effect.timeoutOption(Duration.sum(grace, switchOffTime)),
    Effect.orElseSucceed(Option.none<VmExit>)
  )
  return Option.isSome(ended) ? ended.value : yield* vm.kill
})
