/** The flash memory of a machine that starts firmware: the code, and the file that its variables are kept in. */
import { join } from "node:path"
import { type FirmwarePlan, VmBootError } from "@capsa/core"
import * as VariablesLock from "@capsa/state/VariablesLock"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { hostFailure } from "./bootError.ts"
import type { Firmware, Missing } from "./firmware.ts"

/** Only its owner's: a guest may keep secrets there. */
const mode = 0o600

/**
 * Gives the flash images for a machine with this folder. A file of variables that the plan names is held until the scope closes;
 * it is made if it is missing, whole or not at all, and one that is there is never replaced.
 */
export const take = Effect.fnUntraced(function* (
  plan: FirmwarePlan,
  found: Either.Either<Firmware, Missing>,
  folder: string
) {
  const fs = yield* FileSystem.FileSystem
  const firmware = yield* Either.mapLeft(found, absent)
  yield* Effect.mapError(fs.access(firmware.code, { readable: true }), unreadable(firmware.code))
  const template = yield* Effect.mapError(fs.readFile(firmware.variables), unreadable(firmware.variables))
  if (plan.variables === undefined) {
    const variables = join(folder, "variables")
    yield* Effect.mapError(fs.writeFile(variables, template, { mode }), ({ message }) =>
      hostFailure(message, undefined)
    )
    return { code: firmware.code, variables } satisfies Firmware
  }
  const { variables } = plan
  yield* Effect.mapError(makeUnlessThere(variables, template, plan.id), unusable(variables))
  yield* VariablesLock.take(variables)
  yield* Effect.mapError(fs.access(variables, { readable: true, writable: true }), unusable(variables))
  const { size } = yield* Effect.mapError(fs.stat(variables), unusable(variables))
  if (Number(size) !== template.length) return yield* unfit(variables, Number(size), template.length)
  return { code: firmware.code, variables } satisfies Firmware
})

/** A link fails where a file is, so that two who make it at the same time end up with the same one. */
const makeUnlessThere = Effect.fnUntraced(function* (file: string, content: Uint8Array, id: string) {
  const fs = yield* FileSystem.FileSystem
  if (yield* fs.exists(file)) return
  const draft = `${file}.${id}`
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(draft)))
  const made = yield* fs.open(draft, { flag: "wx", mode })
  yield* made.writeAll(content)
  yield* made.sync
  yield* Effect.catchIf(
    fs.link(draft, file),
    (error) => error._tag === "SystemError" && error.reason === "AlreadyExists",
    () => Effect.void
  )
}, Effect.scoped)

const absent = ({ hint, reason }: Missing): VmBootError =>
  new VmBootError({
    reason: "FirmwareUnavailable",
    field: "boot.firmware",
    detail: `QEMU cannot start firmware, because ${reason}`,
    hint
  })

const unreadable = (file: string) => (cause: PlatformError) =>
  new VmBootError({
    reason: "FirmwareUnavailable",
    subject: file,
    field: "boot.firmware",
    ...callOf(cause),
    detail: "The firmware cannot be read",
    hint: "It was there when the backend was made: install it again (`sudo apt install ovmf`).",
    cause
  })

const unusable = (file: string) => (cause: PlatformError) =>
  new VmBootError({
    reason: "FirmwareUnavailable",
    subject: file,
    field: "boot.variables",
    ...callOf(cause),
    detail: "The file of the firmware's variables cannot be used",
    hint: "Check that boot.variables names a file that this user may read and write, or none in a folder that it may write to.",
    cause
  })

const callOf = (cause: PlatformError) => (cause._tag === "SystemError" ? { operation: cause.method } : {})

const unfit = (file: string, has: number, wants: number): VmBootError =>
  new VmBootError({
    reason: "FirmwareUnavailable",
    subject: file,
    field: "boot.variables",
    operation: "stat",
    detail: `The file has ${has} bytes, and this firmware's variables take ${wants}`,
    hint: "Name the file that was made for this firmware, or one that is still to be made."
  })
