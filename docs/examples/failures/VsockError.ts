import type { Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Connects to a program of the guest that may still be starting; a machine that has ended is told by its exit. */
export const service = ({ vsock, wait }: Vm.Vm, port: number) =>
  vsock.connect(port, { timeout: "5 seconds" }).pipe(
    Effect.retry({ while: ({ retryable }) => retryable, schedule: Schedule.spaced("100 millis"), times: 100 }),
    Effect.tapErrorTag("VsockError", ({ reason }) =>
      reason === "NotRunning" ? Effect.flatMap(wait, ({ _tag }) => Effect.logError(`it ended: ${_tag}`)) : Effect.void
    )
  )
