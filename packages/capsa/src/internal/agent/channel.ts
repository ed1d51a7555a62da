/** The way to the agent of a machine. */
import { type Channel, type Machine, MachineError, SandboxError, type VsockError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Vsock, VsockConnection } from "../../Vsock.ts"
import { disconnected } from "./failures.ts"

/** Where the agent listens: AGENT_PORT in native/guest/protocol.h. */
const port = 52

/** The agent listens when it says that it is there; where nobody hears that, it is asked all the same. */
const announcementMax = "1 second"

/** With a kernel whose vsock is a module, it listens a moment after its guest has a driver; till then the guest refuses. */
const whileItStarts = {
  while: ({ reason }: VsockError) => reason === "Refused" || reason === "TimedOut",
  schedule: Schedule.union(Schedule.exponential("1 millis"), Schedule.spaced("20 millis"))
}

/**
 * By vsock, or by the port of virtio-serial that a machine without vsock has for this. Waits for the agent; `ready` is when
 * the guest's first process runs.
 */
export const open = (
  machine: Machine,
  vsock: Vsock,
  ready: Effect.Effect<void>
): Effect.Effect<Channel, SandboxError, Scope.Scope> => {
  if (machine.agent !== undefined) return Effect.succeed(machine.agent)
  return Effect.timeoutOption(ready, announcementMax).pipe(
    Effect.zipRight(Effect.retry(vsock.connect(port), whileItStarts)),
    Effect.mapBoth({ onFailure: failed, onSuccess: channelOf })
  )
}

const channelOf = ({ readable, write }: VsockConnection): Channel => ({
  // How it ended is asked of the machine.
  bytes: Stream.orElse(readable, () => Stream.empty),
  write: (bytes) => Effect.mapError(write(bytes), (cause) => new MachineError({ ...gone, cause }))
})

const gone = {
  reason: "NotRunning",
  operation: "write",
  detail: "The connection to the agent has ended.",
  hint: "`vm.wait` tells how the machine ended, if it did."
} as const

const failed = (cause: VsockError): SandboxError =>
  cause.reason === "Unsupported"
    ? new SandboxError({
        reason: "Unsupported",
        detail: "The backend gave the machine no way to an agent.",
        hint: "Use another backend, or a plain Vm and its console.",
        cause
      })
    : new SandboxError({
        reason: "Disconnected",
        detail: disconnected.detail,
        hint: disconnected.hint,
        cause
      })
