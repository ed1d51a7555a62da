/** A failure of the C library, as it told it. */

import { constants } from "node:os"
import { BootStageName } from "@capsa/core"
import * as Schema from "effect/Schema"

/** The names of `enum capsa_status`, by value. @category models */
export const nativeStatuses = [
  "Ok",
  "InvalidArgument",
  "StaleHandle",
  "State",
  "Limit",
  "NoMemory",
  "DeviceMissing",
  "DeviceDenied",
  "DeviceUnusable",
  "Emulated",
  "KernelFile",
  "KernelInvalid",
  "InitrdFile",
  "InitrdInvalid",
  "CmdlineInvalid",
  "MemoryInvalid",
  "Host",
  "GuestFault",
  "DiskFile",
  "ShareFolder",
  "NetworkMissing",
  "Port",
  "Tap",
  "Address"
] as const

/** @category models */
export const NativeStatus = Schema.Literal(...nativeStatuses, "LibraryMissing", "LibraryMismatch")
/** @category models */
export type NativeStatus = typeof NativeStatus.Type

/**
 * What the library answered, in fields; the backends on top of it say what to do about it. `LibraryMissing` and
 * `LibraryMismatch` are this side's: the library cannot be opened, or is of another version.
 *
 * @category errors
 */
export class NativeError extends Schema.TaggedError<NativeError>("@capsa/native/NativeError")("NativeError", {
  status: NativeStatus,
  detail: Schema.String,
  operation: Schema.optional(Schema.String),
  subject: Schema.optional(Schema.String),
  field: Schema.optional(Schema.String),
  errno: Schema.optional(Schema.String),
  /** The last that a machine had reached. */
  stage: Schema.optional(BootStageName)
}) {
  override get message(): string {
    return this.subject === undefined ? this.detail : `${this.detail} (${this.subject})`
  }
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

const orUndefined = (text: string) => (text === "" ? undefined : text)

/** The error for a record that the library filled. @category constructors */
export const fromRecord = (
  record: {
    readonly status: number
    readonly errno: number
    readonly operation: string
    readonly subject: string
    readonly field: string
    readonly message: string
  },
  stage?: BootStageName
): NativeError =>
  new NativeError({
    status: nativeStatuses[record.status] ?? "Host",
    detail: record.message,
    operation: orUndefined(record.operation),
    subject: orUndefined(record.subject),
    field: orUndefined(record.field),
    errno: record.errno === 0 ? undefined : (errnoNames.get(record.errno) ?? String(record.errno)),
    stage
  })
