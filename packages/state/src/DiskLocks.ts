/** Images of disks, held while a machine has them: by one that writes, or by any number that do not. */
import { type BootPlan, type StateError, VmBootError } from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { lock } from "./internal/entries.ts"
import { type FileError, openFile } from "./internal/files.ts"

/**
 * Locks the images of a plan's disks until the scope closes, or this process ends. Fails with `DiskInUse` where another
 * machine of capsa's, of this process or another one, has one of them in a way that does not go together, and with
 * `DiskUnavailable` where one cannot be opened any more.
 *
 * @category constructors
 */
export const take: (disks: BootPlan["disks"]) => Effect.Effect<void, StateError | VmBootError, Scope.Scope> = Effect.fn(
  "DiskLocks.take"
)(function* (disks: BootPlan["disks"]) {
  const tryLock = yield* lock
  yield* Effect.forEach(
    disks.flatMap(heldBy),
    ({ index, isWritten, path }) =>
      Effect.flatMap(Effect.mapError(openFile(path), unavailable), (descriptor) =>
        tryLock(descriptor, isWritten ? "exclusive" : "shared") ? Effect.void : inUse(path, index, isWritten)
      ),
    { discard: true }
  )
})

/** A disk's image, and those that it builds on, to which nothing is written. */
const heldBy = ({ backing, ephemeral, path, readOnly }: BootPlan["disks"][number], index: number) => [
  { path, index, isWritten: !readOnly && !ephemeral },
  ...backing.map((image) => ({ path: image.path, index, isWritten: false }))
]

const unavailable = ({ path, errno, operation, cause }: FileError): VmBootError =>
  new VmBootError({
    reason: "DiskUnavailable",
    detail: `The image cannot be opened: ${errno}`,
    hint: "Check that disks[].path names an image that this user may open.",
    subject: path,
    operation,
    errno,
    cause
  })

const inUse = (path: string, index: number, isWritten: boolean): VmBootError =>
  new VmBootError({
    reason: "DiskInUse",
    detail: isWritten ? "Another machine uses the image" : "Another machine writes to the image",
    hint: isWritten
      ? "End that machine (`capsa ps` lists them), or give this one readOnly: true or ephemeral: true, and that one too."
      : "End that machine (`capsa ps` lists them), or let it too have the image readOnly or ephemeral.",
    subject: path,
    field: `disks.${index}.path`,
    operation: "flock"
  })
