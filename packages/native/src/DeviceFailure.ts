/** Why a machine's devices could not be made, whichever monitor runs the machine. */
import type { VmBootErrorReason } from "@capsa/core"
import { isShortage } from "@capsa/core/VmBootError"
import type { NativeError, NativeStatus } from "./NativeError.ts"

/** What a failure means for somebody who wants a machine, and what to do about it. @category models */
export interface Meaning<Reason> {
  readonly reason: Reason
  readonly hint: string
}

/** @category constants */
export const meanings: Partial<Record<NativeStatus, Meaning<VmBootErrorReason>>> = {
  ShareFolder: { reason: "ShareUnavailable", hint: "Check that shares[].host names a folder that this user may open." },
  NetworkMissing: {
    reason: "NetworkUnavailable",
    hint: "Install it: `sudo apt-get install libslirp0` on Debian and Ubuntu, the package libslirp elsewhere."
  },
  Port: {
    reason: "PortUnavailable",
    hint: "End what listens there (`ss -ltnup` shows it), or forward another port; those below 1024 need a privilege."
  },
  Tap: {
    reason: "NetworkUnavailable",
    hint: "Have it made for this user: `sudo ip tuntap add dev NAME mode tap user $USER`, then `sudo ip link set NAME up`. Each device serves one machine."
  },
  Address: {
    reason: "NetworkUnavailable",
    hint: "Choose another address of the switch's subnet, or leave it to the switch."
  }
}

/** Whether the host has no room left. A TAP device that somebody has is theirs for as long as they live. */
export const isShort = ({ errno, status }: NativeError): boolean =>
  isShortage(errno) && !(status === "Tap" && errno === "EBUSY")
