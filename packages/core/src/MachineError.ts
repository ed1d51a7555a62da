/** What can go wrong with a machine that runs. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. @category models */
export const reasons = {
  NotRunning: {
    happened: "The machine has ended, or is ending.",
    retryable: false,
    remedy: "`vm.wait` tells how it ended. Launch another."
  },
  Unsupported: {
    happened: "The backend can't do that with this machine.",
    retryable: false,
    remedy: "The hint names another way; `vm.backend.capabilities` tells what there is."
  },
  HostFailure: {
    happened: "The hypervisor refused, or did not answer.",
    retryable: false,
    remedy: "`vm.kill` works all the same. `capsa doctor` and `dmesg` may say more."
  }
} as const satisfies FailureReasons

/** @category models */
export const MachineErrorReason = schemaOf(reasons)
/** @category models */
export type MachineErrorReason = typeof MachineErrorReason.Type

/**
 * An operation on a running machine failed. The machine is as it was.
 *
 * @category errors
 */
export class MachineError extends Schema.TaggedError<MachineError>("@capsa/core/MachineError")("MachineError", {
  reason: MachineErrorReason,
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
