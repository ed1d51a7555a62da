/** Brings a guest up as its configuration wants it, and starts its main process. */
import type { MainConfig } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ProcessExit } from "../../Sandbox.ts"
import * as Call from "./call.ts"
import * as Files from "./files.ts"
import * as Processes from "./processes.ts"
import type { Session } from "./session.ts"

export interface StartOptions {
  /** The machine's name; what no host name can have in it becomes "-". */
  readonly name: string
  /** Whether to wait for an address. */
  readonly network: boolean
}

const entropyBytes = 64

/** Fails with `StartFailed` and the step that did. */
export const start = Effect.fn("Sandbox.start")(function* (session: Session, { name, network }: StartOptions) {
  const asked = {
    hostname: hostnameOf(name),
    clockMs: yield* Clock.currentTimeMillis,
    entropy: yield* Effect.sync(() => crypto.getRandomValues(new Uint8Array(entropyBytes))),
    network
  }
  yield* Files.ask(session, "start", asked, Files.Nothing)
})

/** Starts the main process, on the guest's console; gives its end. The machine switches itself off then. */
export const startMain = Effect.fn("Sandbox.startMain")(function* (session: Session, { argv, ...main }: MainConfig) {
  const [program = "", ...args] = argv
  const asked = yield* Processes.paramsOf([program, ...args], main)
  const call = yield* Call.make(session, "spawn", { ...asked, main: true })
  yield* call.started
  return Effect.flatMap(call.outcome, Processes.exitOf) satisfies Effect.Effect<ProcessExit, unknown>
})

/** At most 64 letters, digits and hyphens. */
const hostnameOf = (name: string): string => name.replace(/[^A-Za-z0-9.-]/g, "-").slice(0, 64)
