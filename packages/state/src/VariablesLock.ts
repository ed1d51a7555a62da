/** The file of a firmware's variables, held while a machine writes to it. */
import { type StateError, VmBootError } from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { lock } from "./internal/entries.ts"
import { openFile } from "./internal/files.ts"

/**
 * Locks it until the scope closes, or this process ends. Fails with `VariablesInUse` where another machine of capsa's, of this
 * process or another one, has it, and with `FirmwareUnavailable` where it cannot be opened.
 *
 * @category constructors
 */
export const take: (file: string) => Effect.Effect<void, StateError | VmBootError, Scope.Scope> = Effect.fn(
  "VariablesLock.take"
)(function* (file: string) {
  const tryLock = yield* lock
  const descriptor = yield* Effect.mapError(
    openFile(file),
    ({ cause, errno, operation, path }) =>
      new VmBootError({
        reason: "FirmwareUnavailable",
        detail: `The file of the firmware's variables cannot be opened: ${errno}`,
        hint: "Check that boot.variables names a file that this user may read and write.",
        subject: path,
        field: "boot.variables",
        operation,
        errno,
        cause
      })
  )
  if (!tryLock(descriptor, "exclusive")) return yield* inUse(file)
})

const inUse = (file: string): VmBootError =>
  new VmBootError({
    reason: "VariablesInUse",
    detail: "Another machine keeps its firmware's variables there",
    hint: "End that machine (`capsa ps` lists them), or give this one a file of its own.",
    subject: file,
    field: "boot.variables",
    operation: "flock"
  })
