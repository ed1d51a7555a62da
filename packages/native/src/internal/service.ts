import { closeSync } from "node:fs"
import type { BootPlan, MachineError } from "@capsa/core"
import * as Effect from "effect/Effect"
import type { Library } from "../Library.ts"
import type { Inbox } from "./inbox.ts"
import { readStats } from "./machine.ts"

/** What a machine of another monitor has from the library, until the scope closes or that monitor hangs up. */
export interface Service {
  /**
   * Gives the other monitor its sockets, one for each share of the plan, and closes this process's copies when `use` is
   * done: while there are some, nobody notices that the other monitor is gone.
   */
  readonly handOver: <A, E, R>(
    use: (sockets: ReadonlyArray<number>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** Requests about shares so far. */
  readonly shareRequests: Effect.Effect<number, MachineError>
}

/** Room for the sockets of a plan's shares, which are closed with the scope if nobody did before. */
export const socketsFor = (plan: Pick<BootPlan, "shares">) =>
  Effect.acquireRelease(
    Effect.sync(() => new Int32Array(plan.shares.length).fill(-1)),
    close
  )

const close = (sockets: Int32Array) =>
  Effect.sync(() => {
    for (const socket of sockets) if (socket >= 0) closeSync(socket)
    sockets.fill(-1)
  })

/** The service behind an inbox that answers. */
export const makeService = (library: Library, inbox: Inbox, sockets: Int32Array): Service => ({
  handOver: (use) => Effect.ensuring(use([...sockets]), close(sockets)),
  shareRequests: Effect.map(readStats(library, inbox), ({ shareRequests }) => shareRequests)
})
