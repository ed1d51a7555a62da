/**
 * Files of the host, for copies. Names are bytes; nothing is reached through links. @effect/platform's FileSystem can neither
 * look at a link nor refuse one.
 */

import { constants } from "node:fs"
import { type FileHandle, lstat, open } from "node:fs/promises"
import { SandboxError } from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Bytes of a path. */
export type Path = Buffer

export const join = (folder: Path, name: Uint8Array | string): Path =>
  Buffer.concat([folder, Buffer.from("/"), typeof name === "string" ? Buffer.from(name) : name])

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/** Does something with a file of the host; `operation` and `path` say what if it fails. */
export const doing = <A>(operation: string, path: Path, act: () => Promise<A>): Effect.Effect<A, SandboxError> =>
  Effect.tryPromise({
    try: act,
    catch: (cause) =>
      new SandboxError({
        reason: "HostFileFailed",
        operation,
        subject: path.toString(),
        errno: codeOf(cause),
        detail: "The host could not do this with a file",
        hint: "`errno` says why, `subject` is the file of the host.",
        cause
      })
  })

/** An open file of the scope's. */
export const opened = (path: Path, shown: Path, flags: number, mode?: number) =>
  Effect.acquireRelease(
    doing("open", shown, () => open(path, flags, mode)),
    (file) => Effect.ignore(Effect.tryPromise(() => file.close()))
  )

export const statusOf = (path: Path) => doing("stat", path, () => lstat(path))

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants

export const flags = {
  /** A link in a file's place is no file, and a pipe in its place does not make us wait. */
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
  create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
  folder: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
  /** For the folder that the caller names. */
  anyFolder: O_RDONLY | O_DIRECTORY
}

/** A folder that is open, and where it is. */
export interface Folder {
  readonly handle: FileHandle
  readonly path: Path
}

/**
 * A name in an open folder. On Linux it is looked up from the folder itself, wherever that has gone meanwhile; elsewhere from
 * its path, whose parts were found to be folders one by one.
 */
export const nameIn = ({ handle, path }: Folder, name: Uint8Array | string): Path =>
  join(process.platform === "linux" ? Buffer.from(`/proc/self/fd/${handle.fd}`) : path, name)

export const openFolder = (
  path: Path,
  shown: Path,
  folderFlags: number
): Effect.Effect<Folder, SandboxError, Scope.Scope> =>
  Effect.map(opened(path, shown, folderFlags), (handle) => ({ handle, path: shown }))
