import * as Data from "effect/Data"

/**
 * Talking to QEMU failed. `Closed`: it hung up. `Garbage`: it said what is no QMP, and nothing it says counts any more.
 * `Refused`: it answered a command with an error. `Timeout`: it did not answer.
 */
export class QmpError extends Data.TaggedError("QmpError")<{
  readonly reason: "Closed" | "Garbage" | "Refused" | "Timeout"
  readonly detail: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.detail
  }
}
