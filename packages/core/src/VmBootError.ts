/** Why a machine did not come up. */
import * as Schema from "effect/Schema"
import { BootStageName } from "./BootStage.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/**
 * `GuestUnavailable`: the built-in guest could not be prepared. `GuestEnded`: the machine ended before it was ready.
 * `Timeout`: it was not ready within the configuration's `readyTimeout`. `LimitsUnavailable`: this process may not limit
 * what a machine takes.
 *
 * @category models
 */
export const VmBootErrorReason = Schema.Literal(
  "KernelUnreadable",
  "KernelInvalid",
  "InitrdUnreadable",
  "InitrdInvalid",
  "CmdlineInvalid",
  "MemoryInvalid",
  "Unsupported",
  "GuestUnavailable",
  "LimitsUnavailable",
  "HostResources",
  "HostFailure",
  "GuestFault",
  "GuestEnded",
  "Timeout"
)
/** @category models */
export type VmBootErrorReason = typeof VmBootErrorReason.Type

/**
 * A machine was described rightly, and the host or the guest could not carry it out. `stage` is the last one reached,
 * absent if the backend told of none; `consoleTail` is the last output. What had been started is gone.
 *
 * @category errors
 */
export class VmBootError extends Schema.TaggedError<VmBootError>("@capsa/core/VmBootError")("VmBootError", {
  reason: VmBootErrorReason,
  stage: Schema.optional(BootStageName),
  consoleTail: Schema.optional(Schema.String),
  ...errorFields
}) {
  override get message(): string {
    return messageOf(this)
  }
  /** Only a shortage of the host passes by itself. */
  get retryable(): boolean {
    return this.reason === "HostResources"
  }
}
