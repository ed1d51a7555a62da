/** What can go wrong with connections between host and guest. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. @category models */
export const reasons = {
  Unsupported: {
    happened: "The machine has no vsock device.",
    retryable: false,
    remedy: "Launch it with `vsock: true`."
  },
  Invalid: {
    happened: "The port is none, or the options make no pool of connections; the message names it.",
    retryable: false,
    remedy: "Correct it. A port is a whole number from 0 to 4294967294, `max` one from 1."
  },
  NotRunning: {
    happened: "The machine has ended, or is ending.",
    retryable: false,
    remedy: "`vm.wait` tells how it ended. Launch another."
  },
  Refused: {
    happened: "Nobody in the guest listens at the port, or not any more.",
    retryable: true,
    remedy: "Try again a little later if the guest's program may still be starting; otherwise look whether it runs."
  },
  TimedOut: {
    happened: "The guest did not answer in time.",
    retryable: true,
    remedy: "It may be busy, paused, or have no vsock driver: give it more time, or look at its console."
  },
  PortInUse: {
    happened: "Something on the host listens for this port of the machine already.",
    retryable: false,
    remedy: "Take another port, or close what listens: a stream that is still read, or another program."
  },
  Closed: {
    happened:
      "The connection has ended: the other side broke it off or reads no more, this side closed it, or the machine ended.",
    retryable: false,
    remedy: "Connect anew. What was written last may not have arrived."
  },
  HostFailure: {
    happened: "A socket of the host failed.",
    retryable: false,
    remedy: "`errno` says why: often a limit of descriptors (`ulimit -n`)."
  }
} as const satisfies FailureReasons

/** @category models */
export const VsockErrorReason = schemaOf(reasons)
/** @category models */
export type VsockErrorReason = typeof VsockErrorReason.Type

/**
 * A connection between host and guest did not come about, or has ended.
 *
 * @category errors
 */
export class VsockError extends Schema.TaggedError<VsockError>("@capsa/core/VsockError")("VsockError", {
  reason: VsockErrorReason,
  /** The port it is about. */
  port: Schema.Number,
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return reasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
