/** The folder in which every machine of a user has one of its own. */
import type { Stats } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { StateError } from "@capsa/core"
import type { NativeError } from "@capsa/native"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type FileError, makeFolder, openFolder } from "./internal/files.ts"

const configured = Config.nonEmptyString("CAPSA_STATE_DIR").pipe(
  Config.orElse(() => Config.map(Config.nonEmptyString("XDG_RUNTIME_DIR"), (folder) => join(folder, "capsa"))),
  Config.option
)

/** The number of the user that this process acts for. */
export const userId = (): number => process.geteuid?.() ?? 0

/**
 * `CAPSA_STATE_DIR`, else `$XDG_RUNTIME_DIR/capsa`, else `capsa-` and the user's number in the temporary folder. It need
 * not be there.
 *
 * @category constructors
 */
export const path: Effect.Effect<string> = Effect.map(Effect.orDie(configured), (folder) =>
  resolve(Option.getOrElse(folder, () => join(tmpdir(), `capsa-${userId()}`)))
)

/** Bytes of a Unix socket's path, its final zero not counted: `sun_path` of the host. */
const socketPathBytesMax = process.platform === "darwin" ? 103 : 107

/** A machine's folder has a name of 13 bytes, and its sockets names of up to 16. */
const bytesBelow = "/01234567-89ab".length + "/".length + 16

/**
 * The folder's path, when it is there and can be trusted: nobody but this user and root may put something into it or take
 * something out. It is made if it is missing, for this user only.
 *
 * @category constructors
 */
export const open: Effect.Effect<string, StateError> = Effect.gen(function* () {
  const folder = yield* path
  if (Buffer.byteLength(folder) + bytesBelow > socketPathBytesMax) return yield* tooLong(folder)
  const { stats } = yield* Effect.zipRight(makeFolder(folder), openFolder(folder)).pipe(Effect.mapError(unusable))
  yield* distrust(folder, stats)
  return folder
}).pipe(Effect.scoped, Effect.withSpan("StateFolder.open"))

const sticky = 0o1000
const othersWrite = 0o022

/** In a folder with the sticky bit, like /tmp, each user's entries are safe from all others but its owner. */
const distrust = (folder: string, { mode, uid }: Stats): Effect.Effect<void, StateError> => {
  const isSticky = (mode & sticky) !== 0
  if (uid !== userId() && !(uid === 0 && isSticky)) return foreign(folder, uid)
  return (mode & othersWrite) !== 0 && !isSticky ? exposed(folder) : Effect.void
}

const ownFolder = "Name a folder of your own in CAPSA_STATE_DIR."

const foreign = (folder: string, uid: number) =>
  new StateError({
    reason: "Foreign",
    subject: folder,
    detail: `The state folder belongs to user ${uid}, not to you`,
    hint: `${ownFolder} If sudo kept your environment, run it with -H, or unset XDG_RUNTIME_DIR and CAPSA_STATE_DIR.`
  })

const exposed = (folder: string) =>
  new StateError({
    reason: "Exposed",
    subject: folder,
    detail: "Others may write to the state folder",
    hint: `\`chmod go-w ${folder}\`. ${ownFolder}`
  })

const tooLong = (folder: string) =>
  new StateError({
    reason: "TooLong",
    subject: folder,
    detail: `The state folder's path has more than ${socketPathBytesMax - bytesBelow} bytes: sockets in it could not be named`,
    hint: "Name a folder with a shorter path in CAPSA_STATE_DIR."
  })

/** For a call that the host refused. */
export const unusable = ({ cause, errno, operation, path }: FileError): StateError =>
  new StateError({
    reason: "Unusable",
    subject: path,
    operation,
    errno,
    detail: "The state folder cannot be used",
    hint: hints[errno] ?? `See that it is a folder of yours with room in it. ${ownFolder}`,
    cause
  })

/** Where this host's C library does not open. */
export const libraryMissing = (cause: NativeError): StateError =>
  new StateError({
    reason: "Unusable",
    operation: "dlopen",
    ...(cause.subject === undefined ? {} : { subject: cause.subject }),
    detail: "The state folder cannot be locked: the C library does not open",
    hint: "Use Linux with glibc or musl, or macOS.",
    cause
  })

const hints: Record<string, string> = {
  EACCES: `You may not write there. ${ownFolder}`,
  EROFS: `Its file system is read-only. ${ownFolder}`,
  ENOSPC: "Its file system is full. Make room, or name a folder elsewhere in CAPSA_STATE_DIR.",
  EWOULDBLOCK: "Its file system gives no locks. Name a folder on a local one in CAPSA_STATE_DIR.",
  ENOTDIR: "It is a file. Name a folder in CAPSA_STATE_DIR.",
  EEXIST: "It is a file. Name a folder in CAPSA_STATE_DIR.",
  ELOOP: "It is a link. Name the folder itself in CAPSA_STATE_DIR."
}
