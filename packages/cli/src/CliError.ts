/** What only the command line can fail with. */
import { docsOf, type FailureReasons, schemaOf } from "@capsa/core/FailureReason"
import * as Schema from "effect/Schema"

/** What each reason of a {@link UsageError} means. @category models */
export const usageReasons = {
  UnknownVerb: {
    happened: "There is no such verb, or none was given.",
    retryable: false,
    remedy: "`capsa --help` lists the verbs."
  },
  UnknownOption: {
    happened: "The verb has no such option, and takes no such argument.",
    retryable: false,
    remedy: "`capsa VERB --help` lists what it takes."
  },
  InvalidValue: {
    happened: "The value of an option is missing, or can't be read.",
    retryable: false,
    remedy: "The message shows how to write it."
  },
  Conflict: {
    happened: "Options were given that don't go together.",
    retryable: false,
    remedy: "The hint names what is missing or too much."
  }
} as const satisfies FailureReasons

/** The words of the command line make no sense. @category errors */
export class UsageError extends Schema.TaggedError<UsageError>("@capsa/cli/UsageError")("UsageError", {
  reason: schemaOf(usageReasons),
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return usageReasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}

/** What each reason of a {@link RunError} means. @category models */
export const runReasons = {
  Timeout: {
    happened: "The machine was killed because its time (`--timeout`) was over.",
    retryable: false,
    remedy: "Give it more, or look at its console: it may wait for input."
  },
  Panic: {
    happened: "The guest's kernel panicked.",
    retryable: false,
    remedy:
      "Its last lines on the console say more. `VFS: Unable to mount root fs`: give an initrd with `--initrd`. `No working init found`: the initrd has no `/init` that runs."
  },
  OutOfMemory: {
    happened: "The host's memory limit ended the machine.",
    retryable: false,
    remedy: "Raise the limit, or give the machine less with `--memory`."
  },
  Failed: {
    happened: "The monitor could not go on, or was killed, and not by this command.",
    retryable: false,
    remedy:
      "Somebody ended it, or the host ran out of memory: `dmesg` tells. `capsa doctor` tells whether the host is fit; try another `--backend`."
  }
} as const satisfies FailureReasons

/**
 * A machine came up and did not end well.
 *
 * @category errors
 */
export class RunError extends Schema.TaggedError<RunError>("@capsa/cli/RunError")("RunError", {
  reason: schemaOf(runReasons),
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return runReasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}

/** What each reason of a {@link TargetError} means. @category models */
export const targetReasons = {
  NoSuchMachine: {
    happened: "No machine is alive that has this name or id.",
    retryable: false,
    remedy: "`capsa ps` lists those that are. It may have ended."
  },
  Ambiguous: {
    happened: "Several machines have this name, or ids that begin so.",
    retryable: false,
    remedy: "Give the whole id; `capsa ps` lists them."
  },
  NotDetached: {
    happened: "The machine belongs to a program that launched it for itself.",
    retryable: false,
    remedy: "Only machines of `capsa run --detach` can be reached from outside."
  },
  NameTaken: {
    happened: "A machine with this name is alive already.",
    retryable: false,
    remedy: "Choose another `--name`, or end that one with `capsa stop`."
  },
  SupervisorLost: {
    happened: "The process that holds a detached machine ended, and the machine with it.",
    retryable: false,
    remedy: "Somebody killed it, or the host ran out of memory: `dmesg` tells. `capsa cleanup` removes what is left."
  }
} as const satisfies FailureReasons

/**
 * A machine that was launched with `--detach` is not to be reached.
 *
 * @category errors
 */
export class TargetError extends Schema.TaggedError<TargetError>("@capsa/cli/TargetError")("TargetError", {
  reason: schemaOf(targetReasons),
  /** The name or id that was given. */
  target: Schema.String,
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return targetReasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
