/** What can go wrong between a host and the agent in a guest. */
import * as Schema from "effect/Schema"
import { docsOf, type FailureReasons, schemaOf } from "./FailureReason.ts"
import { errorFields, messageOf } from "./internal/errorFields.ts"

/** What each reason means. @category models */
export const reasons = {
  Unsupported: {
    happened: "The backend has no way to an agent in its guests.",
    retryable: false,
    remedy: "Use a backend whose `capabilities` have `mainProcess`, or a plain `Vm` and its console."
  },
  VersionSkew: {
    happened: "This version of capsa and the agent in the guest don't speak the same version of the protocol.",
    retryable: false,
    remedy: "`field` says which of the two is older: update it. A guest of your own needs a new initrd."
  },
  StartFailed: {
    happened: "The guest came up, and a step of its own start failed.",
    retryable: false,
    remedy: "`step` and `subject` say what failed: a mount, a module, the network. The machine has ended."
  },
  Protocol: {
    happened: "The agent, or something in its place, said what the protocol does not allow.",
    retryable: false,
    remedy: "Don't trust this machine any more; launch another."
  },
  Disconnected: {
    happened: "The connection to the agent ended, and with it all that was under way.",
    retryable: false,
    remedy: "`vm.wait` tells whether the machine has ended, and how. Launch another."
  },
  Unresponsive: {
    happened: "The agent has not answered for a minute, though the machine runs.",
    retryable: false,
    remedy: "The guest may be out of memory, or its kernel stand still: look at the console, then `vm.kill`."
  },
  CannotStart: {
    happened: "A command could not be started.",
    retryable: false,
    remedy: "`step` says whether it is the program, the folder or the user that is not there; look at PATH."
  },
  TimeLimit: {
    happened: "A command ran longer than its time limit, and was killed with all that it had started.",
    retryable: false,
    remedy: "`stdout` and `stderr` have the last that it said. Give it more time."
  },
  InputClosed: {
    happened: "Something was written to a process that reads its input no more.",
    retryable: false,
    remedy: "It has closed its input or ended: `exit` tells."
  },
  Busy: {
    happened:
      "The guest runs as many commands and transfers as its agent takes at a time, or has no room for one more.",
    retryable: true,
    remedy: "Wait for some of them to end: the agent takes 256."
  },
  FileFailed: {
    happened: "The guest could not do this with a file.",
    retryable: false,
    remedy: "`errno` says why, `subject` is the file in the guest."
  },
  HostFileFailed: {
    happened: "The host could not read or write a file that is copied.",
    retryable: false,
    remedy: "`errno` says why, `subject` is the file of the host."
  },
  UnsafeArchive: {
    happened: "An archive has an entry that would end up elsewhere than it should, or is a device. It was not written.",
    retryable: false,
    remedy: "`subject` is the entry. Whoever made the archive may mean harm."
  },
  InvalidInput: {
    happened: "What was asked for makes no sense: an empty command, a NUL in a path, or more than fits in a message.",
    retryable: false,
    remedy: "Send what is longer than 60 KB as the command's input, or as a file."
  }
} as const satisfies FailureReasons

/** @category models */
export const SandboxErrorReason = schemaOf(reasons)
/** @category models */
export type SandboxErrorReason = typeof SandboxErrorReason.Type

/**
 * Something asked of a sandbox failed. Unless the reason says otherwise, the sandbox is as it was.
 *
 * @category errors
 */
export class SandboxError extends Schema.TaggedError<SandboxError>("@capsa/core/SandboxError")("SandboxError", {
  reason: SandboxErrorReason,
  /** What the guest was doing. */
  step: Schema.optional(Schema.String),
  /** The last that a command said, as text. */
  stdout: Schema.optional(Schema.String),
  stderr: Schema.optional(Schema.String),
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
