/**
 * The calls into the host's file system that this package makes, with the host's own error names. They are single calls
 * on small files of memory-backed file systems: making them at once costs less than handing them to another thread.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  type Stats,
  statSync,
  writeFileSync
} from "node:fs"
import { rm } from "node:fs/promises"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** `errno` is the host's name for it. */
export class FileError extends Data.TaggedError("FileError")<{
  readonly operation: string
  readonly path: string
  readonly errno: string
  readonly cause: unknown
}> {}

const failed = (operation: string, path: string) => (cause: unknown) =>
  new FileError({
    operation,
    path,
    errno: cause instanceof Error && "code" in cause ? String(cause.code) : "unknown",
    cause
  })

const call = <A>(operation: string, path: string, run: () => A): Effect.Effect<A, FileError> =>
  Effect.try({ try: run, catch: failed(operation, path) })

export const read = (path: string) => call("read", path, () => readFileSync(path, "utf8"))

export const write = (path: string, text: string) => call("write", path, () => writeFileSync(path, text))

/** Succeeds where writing is allowed. */
export const writable = (path: string) => call("access", path, () => accessSync(path, constants.W_OK))

export const list = (path: string) => call("readdir", path, () => readdirSync(path))

export const inode = (path: string) => call("stat", path, () => statSync(path).ino)

export const rename = (from: string, to: string) => call("rename", to, () => renameSync(from, to))

/** With those above it; for this user only. One that is there is left as it is. */
export const makeFolder = (path: string) =>
  call("mkdir", path, () => void mkdirSync(path, { recursive: true, mode: 0o700 }))

export const removeFolder = (path: string) => call("rmdir", path, () => rmdirSync(path))

/** A folder with all that is in it, or nothing. Elsewhere: files of guests can be large. */
export const removeAll = (path: string) =>
  Effect.tryPromise({ try: () => rm(path, { recursive: true, force: true }), catch: failed("rm", path) })

/** Opens a file for as long as the scope, to hold it only. One that is no file does not make it wait. */
export const openFile = (path: string): Effect.Effect<number, FileError, Scope.Scope> =>
  Effect.acquireRelease(
    call("open", path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )

export interface Folder {
  readonly descriptor: number
  readonly stats: Stats
}

/** Opens a folder itself, no link to one. */
export const openFolder = (path: string): Effect.Effect<Folder, FileError, Scope.Scope> =>
  Effect.acquireRelease(
    call("open", path, () => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  ).pipe(
    Effect.flatMap((descriptor) =>
      Effect.map(
        call("fstat", path, () => fstatSync(descriptor)),
        (stats) => ({ descriptor, stats })
      )
    )
  )
