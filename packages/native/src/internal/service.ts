import type { BootPlan, MachineError, MachineNetwork, MachineStats } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Library } from "../Library.ts"
import type { ServicePaths } from "../Native.ts"
import type { Inbox } from "./inbox.ts"
import { call, networkOf, readStats, vsockStatsOf } from "./machine.ts"

/** What of a plan the library serves to another monitor. */
export type ServicePlan = Pick<BootPlan, "memoryMib" | "shares" | "network" | "vsock">

/** What a machine of another monitor has from the library, until the scope closes or that monitor hangs up. */
export interface Service {
  /**
   * Unix sockets where the other monitor finds the devices of the plan: each share, the network device, vsock, in this
   * order. Each serves the first who connects.
   */
  readonly sockets: ReadonlyArray<string>
  /** Of the network device, if it has one to show: the other monitor has to. */
  readonly mtu: number | undefined
  /** What the devices count. */
  readonly stats: Effect.Effect<MachineStats, MachineError>
  readonly network: MachineNetwork | undefined
  readonly vsockPath: string | undefined
  /** Fails when nothing is served any more; the guest's connections break off only after that. */
  readonly running: Effect.Effect<void, MachineError>
  /** To be told before the other monitor stops its vCPUs: what the guest has with its devices stays. */
  readonly pause: Effect.Effect<void, MachineError>
  /** To be told before it runs them again. */
  readonly resume: Effect.Effect<void, MachineError>
  /** The other monitor is gone, whether it has connected or not. Waits until nothing is served any more. */
  readonly end: Effect.Effect<void>
  /** Nothing is served any more: the other monitor has hung up, `end` was called, or the library was closed. */
  readonly ended: Effect.Effect<void>
}

/** How many devices of a plan are the library's. */
export const deviceCount = ({ network, shares, vsock }: ServicePlan): number =>
  shares.length + (network === undefined ? 0 : 1) + (vsock ? 1 : 0)

const nothing = new Uint8Array(1)

/** The service behind an inbox that answers. */
export const makeService = (
  library: Library,
  inbox: Inbox,
  plan: ServicePlan,
  { devices, vsock }: ServicePaths
): Effect.Effect<Service, MachineError> =>
  Effect.map(readStats(library, inbox), ({ networkMtu }) => ({
    sockets: Array.from({ length: deviceCount(plan) }, (_, index) => `${devices}${index}`),
    mtu: networkMtu === 0 ? undefined : networkMtu,
    stats: Effect.map(readStats(library, inbox), (stats) => ({
      shareRequests: stats.shareRequests,
      ...vsockStatsOf(plan, stats)
    })),
    running: call(inbox, "write", () =>
      library.call.capsa_console_write(library.instance, inbox.handle, nothing, 0, new Uint32Array(1))
    ),
    pause: call(inbox, "pause", () => library.call.capsa_pause(library.instance, inbox.handle)),
    resume: call(inbox, "resume", () => library.call.capsa_resume(library.instance, inbox.handle)),
    network: networkOf(library, inbox, plan),
    vsockPath: vsock,
    end: Effect.suspend(() => {
      if (!inbox.gone) library.call.capsa_kill(library.instance, inbox.handle)
      return Effect.asVoid(Deferred.await(inbox.exit))
    }),
    ended: Effect.asVoid(Deferred.await(inbox.exit))
  }))
