import { type BootPlan, type Machine, MachineError, type MachineNetwork, type MachineStats } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type { Library } from "../Library.ts"
import type { MachinePaths } from "../Native.ts"
import { type NativeStatus, nativeStatuses } from "../NativeError.ts"
import { makeDecision, makeLog, writeFlow } from "./flow.ts"
import type { Inbox } from "./inbox.ts"
import { makeErrorBuffer, makeStats, type StatsRecord } from "./layout.ts"
import { writePolicy } from "./policy.ts"

const machineError = (operation: string, status: NativeStatus) =>
  status === "State" || status === "StaleHandle"
    ? new MachineError({
        reason: "NotRunning",
        operation,
        detail: "the machine has ended",
        hint: "Look at its exit (`wait`), and launch another."
      })
    : new MachineError({
        reason: "HostFailure",
        operation,
        detail: `the native library refused: ${status}`,
        hint: "Run `capsa doctor`."
      })

/** A call that answers with a status. Once the machine is released, its instance may be closed: nothing is called. */
export const call = (inbox: Inbox, operation: string, f: () => number): Effect.Effect<void, MachineError> =>
  Effect.suspend(() => {
    const status = inbox.gone ? nativeStatuses.indexOf("StaleHandle") : f()
    return status === 0 ? Effect.void : Effect.fail(machineError(operation, nativeStatuses[status] ?? "Host"))
  })

/** Offers bytes until all are taken; the library says when it has room again. */
const write = (library: Library, inbox: Inbox, bytes: Uint8Array): Effect.Effect<void, MachineError> =>
  Effect.suspend(() => {
    const accepted = new Uint32Array(1)
    const writable = Deferred.await(inbox.signals.writable)
    return call(inbox, "write", () =>
      library.call.capsa_console_write(library.instance, inbox.handle, bytes, bytes.byteLength, accepted)
    ).pipe(
      Effect.flatMap(() => {
        const rest = bytes.subarray(accepted[0] ?? 0)
        return rest.byteLength === 0
          ? Effect.void
          : Effect.zipRight(Effect.raceFirst(writable, Deferred.await(inbox.exit)), write(library, inbox, rest))
      })
    )
  })

/** Asks, and waits for the report or for the machine's end. */
const request = (inbox: Inbox, report: "paused" | "resumed", operation: string, f: () => number) =>
  Effect.suspend(() => {
    const reported = Deferred.await(inbox.signals[report])
    const ended = Effect.flatMap(Deferred.await(inbox.exit), () => Effect.fail(machineError(operation, "State")))
    return Effect.zipRight(call(inbox, operation, f), Effect.raceFirst(reported, ended))
  })

/** The counters of what is behind an inbox. */
export const readStats = (library: Library, inbox: Inbox): Effect.Effect<StatsRecord, MachineError> =>
  Effect.suspend(() => {
    const stats = makeStats()
    return Effect.map(
      call(inbox, "stats", () => library.call.capsa_stats(library.instance, inbox.handle, stats.bytes)),
      stats.read
    )
  })

export const vsockStatsOf = (plan: Pick<BootPlan, "vsock">, stats: StatsRecord): MachineStats =>
  plan.vsock
    ? {
        vsockConnections: stats.vsockConnections,
        vsockSentBytes: stats.vsockSent,
        vsockReceivedBytes: stats.vsockReceived
      }
    : {}

const statsOf = (plan: BootPlan, stats: StatsRecord): MachineStats => ({
  exits: stats.exits,
  residentBytes: stats.residentBytes,
  consoleBytes: stats.consoleOutput,
  diskReadBytes: stats.diskRead,
  diskWrittenBytes: stats.diskWritten,
  shareRequests: stats.shareRequests,
  ...vsockStatsOf(plan, stats),
  balloon: plan.balloon ? { heldBytes: stats.balloonHeld, reportedBytes: stats.balloonReported } : undefined,
  guestMemory:
    stats.guestTotal === 0
      ? undefined
      : { totalBytes: stats.guestTotal, freeBytes: stats.guestFree, availableBytes: stats.guestAvailable }
})

/** Lines of the log that are taken by one call. */
const logLines = 64

/** Where a policy is in the machine's way. */
export const networkOf = (
  library: Library,
  inbox: Inbox,
  plan: Pick<BootPlan, "network">
): MachineNetwork | undefined => {
  const { call: native, instance } = library
  const { handle } = inbox
  const { network } = plan
  if (network === undefined || network.mode === "tap") return undefined
  if (network.mode === "switch" && network.uplink === undefined) return undefined
  return {
    explain: (flow) =>
      Effect.suspend(() => {
        const decision = makeDecision()
        const name = flow.name === undefined ? null : new TextEncoder().encode(`${flow.name}\0`)
        return Effect.map(
          call(inbox, "explain", () =>
            native.capsa_policy_explain(instance, handle, writeFlow(flow), name, decision.bytes)
          ),
          decision.read
        )
      }),
    setPolicy: (policy) =>
      call(inbox, "setPolicy", () =>
        native.capsa_policy_replace(instance, handle, writePolicy(policy), makeErrorBuffer().bytes)
      ),
    takeLog: Effect.suspend(() => {
      const log = makeLog(logLines)
      const count = new Uint32Array(1)
      return Effect.map(
        call(inbox, "takeLog", () => native.capsa_policy_log(instance, handle, log.bytes, logLines, count)),
        () => log.read(count[0] ?? 0)
      )
    })
  }
}

/** The machine behind an inbox whose vCPUs run. */
export const makeMachine = (library: Library, inbox: Inbox, plan: BootPlan, { vsock }: MachinePaths): Machine => {
  const { call: native, instance } = library
  const { handle } = inbox
  return {
    console: Mailbox.toStream(inbox.output),
    consoleLost: Effect.sync(() => inbox.lost),
    write: (bytes) => write(library, inbox, bytes),
    stages: Mailbox.toStream(inbox.stages),
    powerOff: call(inbox, "powerOff", () => native.capsa_power_button(instance, handle)),
    kill: Effect.ignore(call(inbox, "kill", () => native.capsa_kill(instance, handle))),
    pause: request(inbox, "paused", "pause", () => native.capsa_pause(instance, handle)),
    resume: request(inbox, "resumed", "resume", () => native.capsa_resume(instance, handle)),
    exit: Deferred.await(inbox.exit),
    network: networkOf(library, inbox, plan),
    vsockPath: vsock,
    stats: Effect.map(readStats(library, inbox), (stats) => statsOf(plan, stats))
  }
}
