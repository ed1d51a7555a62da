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

/** The agent listens a moment after its guest has a driver; till then the guest refuses. */
const whileItStarts = {
  while: ({ reason }: VsockError) => reason === "Refused" || reason === "TimedOut",
  schedule: Schedule.spaced("20 millis")
}

/** By vsock, or by the port of virtio-serial that a machine without vsock has for this. Waits for the agent. */
export const open = (machine: Machine, vsock: Vsock): Effect.Effect<Channel, SandboxError, Scope.Scope> => {
  if (machine.agent !== undefined) return Effect.succeed(machine.agent)
  return vsock
    .connect(port)
    .pipe(Effect.retry(whileItStarts), Effect.mapBoth({ onFailure: failed, onSuccess: channelOf }))
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
