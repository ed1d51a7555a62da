/** What a machine's folder says about it. */
import { BackendName } from "@capsa/core"
import * as Schema from "effect/Schema"

/** A process, beyond doubt: ids are given out again, start times within one boot of the host are not. @category models */
export const ProcessIdentity = Schema.Struct({
  pid: Schema.Int,
  /** When it started, as this host tells it: clock ticks since the host's start on Linux. */
  started: Schema.String
})
/** @category models */
export type ProcessIdentity = typeof ProcessIdentity.Type

/** @category models */
export const MachineRecord = Schema.Struct({
  /** UUID. */
  id: Schema.UUID,
  name: Schema.String,
  backend: BackendName,
  /** When its folder was made, in milliseconds since 1970. */
  createdAt: Schema.Number,
  /** Id of the process that launched it and holds its lease. */
  owner: Schema.Int,
  cpus: Schema.Int,
  memoryMib: Schema.Int,
  /** Absent where firmware is started. */
  kernel: Schema.optional(Schema.String),
  /** The process that is the machine, where that is not the owner. */
  process: Schema.optional(ProcessIdentity),
  /** Absolute path of the cgroup that was made for it. */
  cgroup: Schema.optional(Schema.String)
})
/** @category models */
export type MachineRecord = typeof MachineRecord.Type

/** The record's file in a machine's folder. */
export const recordFile = "machine.json"
