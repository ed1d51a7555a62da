/** What is wrong with the folder in which machines keep what they hold. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. @category models */
export const reasons = {
  Foreign: {
    happened: "The state folder belongs to another user, often because `sudo` kept your environment.",
    retryable: false,
    remedy: "Name a folder of your own in `CAPSA_STATE_DIR`, or run `sudo -H`."
  },
  Exposed: {
    happened: "Others may write to the state folder.",
    retryable: false,
    remedy: "`chmod go-w` it, or name another in `CAPSA_STATE_DIR`."
  },
  TooLong: {
    happened: "The state folder's path is so long that sockets in it could not be named.",
    retryable: false,
    remedy: "Name a folder with a shorter path in `CAPSA_STATE_DIR`."
  },
  Unusable: {
    happened: "The host refused to make, lock, read or write the state folder; `errno` says why.",
    retryable: false,
    remedy:
      "See that it is a folder of yours, no file or link, with room in it, on a file system with locks. Or name another in `CAPSA_STATE_DIR`."
  }
} as const satisfies FailureReasons

/** @category models */
export const StateErrorReason = schemaOf(reasons)
/** @category models */
export type StateErrorReason = typeof StateErrorReason.Type

/**
 * The folder in which machines keep what they hold cannot be used. Nothing was started.
 *
 * @category errors
 */
export class StateError extends Schema.TaggedError<StateError>("@capsa/core/StateError")("StateError", {
  reason: StateErrorReason,
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
