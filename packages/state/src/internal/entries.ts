/**
 * Folders of machines in the state folder, and whether their owners live.
 *
 * The owner of a machine holds an exclusive lock on its folder, taken before the folder gets its name and held until
 * it is removed. So whoever gets a shared lock on a folder knows that its owner is dead, for good. Nobody looks at
 * process ids for that, which are given out again.
 */
import { join } from "node:path"
import type { StateError } from "@capsa/core"
import { FileLock } from "@capsa/native/FileLock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { libraryMissing, userId } from "../StateFolder.ts"
import { type Folder, openFolder } from "./files.ts"

/** While it is made, while its machine lives, while it is removed. */
export const making = (id: string): string => `.new-${nameOf(id)}`
export const nameOf = (id: string): string => id.slice(0, 13)
export const removing = (name: string): string => `.old-${name.replace(/^\.(new|old)-/, "")}`

const machineName = /^(\.new-|\.old-)?[0-9a-f]{8}-[0-9a-f]{4}$/

export type Entry = Readonly<
  | { _tag: "Dead"; path: string; folder: Folder }
  | { _tag: "Live"; path: string }
  /** Not ours to touch; `why` is for people. */
  | { _tag: "Strange"; path: string; why: string }
  /** It was removed meanwhile. */
  | { _tag: "Gone" }
>

/** Looks at one; what is found dead stays so, and is open while the scope is. */
export const look = Effect.fnUntraced(function* (
  stateFolder: string,
  name: string
): Effect.fn.Return<Entry, StateError, Scope.Scope> {
  const path = join(stateFolder, name)
  const strange = (why: string): Entry => ({ _tag: "Strange", path, why })
  if (!machineName.test(name)) return strange("is not capsa's")
  const opened = yield* Effect.either(openFolder(path))
  if (opened._tag === "Left") {
    const { errno } = opened.left
    return errno === "ENOENT" ? { _tag: "Gone" } : strange(`cannot be looked at (${errno})`)
  }
  const folder = opened.right
  if (folder.stats.uid !== userId()) return strange(`belongs to user ${folder.stats.uid}`)
  return (yield* lock)(folder.descriptor, "shared") ? { _tag: "Dead", path, folder } : { _tag: "Live", path }
})

/** Tries for a lock, without waiting. */
export const lock = Effect.flatMap(FileLock, (fileLock) => Effect.mapError(fileLock, libraryMissing))
