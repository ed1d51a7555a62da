import { VsockError } from "@capsa/core"
import type { Break } from "./vsockWire.ts"

/** The largest port; the next number stands for none. */
const portMax = 0xfffffffe

export const isPort = (port: number): boolean => Number.isSafeInteger(port) && port >= 0 && port <= portMax

export const unsupported = (port: number): VsockError =>
  new VsockError({
    reason: "Unsupported",
    port,
    detail: "The machine has no vsock device.",
    hint: "Launch it with `vsock: true`."
  })

export const invalidPort = (port: number): VsockError =>
  new VsockError({
    reason: "Invalid",
    port,
    field: "port",
    detail: `${port} is no port.`,
    hint: `Give a whole number from 0 to ${portMax}.`
  })

export const invalidOption = (port: number, field: string, detail: string, hint: string): VsockError =>
  new VsockError({ reason: "Invalid", port, field, detail, hint })

export const notRunning = (port: number): VsockError =>
  new VsockError({
    reason: "NotRunning",
    port,
    detail: "The machine has ended, or is ending.",
    hint: "Launch another; `vm.wait` tells how this one ended."
  })

export const refused = (port: number): VsockError =>
  new VsockError({
    reason: "Refused",
    port,
    detail: `Nobody in the guest listens at port ${port}.`,
    hint: "Try again a little later if the guest's program may still be starting; otherwise look whether it runs."
  })

export const timedOut = (port: number): VsockError =>
  new VsockError({
    reason: "TimedOut",
    port,
    detail: `The guest did not answer at port ${port} in time.`,
    hint: "It may be busy, paused, or have no vsock driver: give it more time, or look at its console."
  })

export const portInUse = (port: number, path: string): VsockError =>
  new VsockError({
    reason: "PortInUse",
    port,
    subject: path,
    errno: "EADDRINUSE",
    detail: `Something listens for port ${port} of this machine already.`,
    hint: "Take another port, or end what listens. A file that a killed program has left can be removed."
  })

export const closed =
  (port: number) =>
  ({ errno }: Break): VsockError =>
    new VsockError({
      reason: "Closed",
      port,
      errno,
      detail: "The connection has ended.",
      hint: "Connect anew, if the machine runs; what was written last may not have arrived."
    })

/** The host refused an operation on a socket; its cause is what Bun says. */
export const hostFailure = (
  port: number,
  operation: string,
  subject: string,
  errno: string | undefined,
  cause?: unknown
): VsockError =>
  new VsockError({
    reason: "HostFailure",
    port,
    operation,
    subject,
    errno,
    cause,
    detail: "A socket of the host failed.",
    hint: "The error's name says why: EMFILE is a limit of descriptors (`ulimit -n`)."
  })
