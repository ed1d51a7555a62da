/** All that can be asked of an agent, over one session with it. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Agent } from "../../Sandbox.ts"
import * as Copies from "./copies.ts"
import * as Files from "./files.ts"
import * as Processes from "./processes.ts"
import type { Session } from "./session.ts"

const Info = Schema.Struct({
  agent: Schema.String,
  kernel: Schema.String,
  architecture: Schema.String,
  hostname: Schema.String,
  cpus: Schema.Int,
  memoryBytes: Schema.Int,
  freeBytes: Schema.Int,
  uptimeSeconds: Schema.Int,
  clockMs: Schema.Int,
  addresses: Schema.Array(Schema.Struct({ device: Schema.String, address: Schema.String })),
  mounts: Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String, type: Schema.String }))
})

export const make = (session: Session): Agent => ({
  ...Processes.make(session),
  files: Files.make(session),
  ...Copies.make(session),
  info: Effect.withSpan(Files.ask(session, "info", {}, Info), "Sandbox.info"),
  health: Effect.withSpan(
    Effect.map(session.ping, (roundTrip) => ({ roundTrip })),
    "Sandbox.health"
  )
})
