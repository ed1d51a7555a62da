/** The machines of this user that are alive, whichever process launched them. */
import { join } from "node:path"
import type { StateError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { look, nameOf } from "./internal/entries.ts"
import { list } from "./internal/files.ts"
import { readRecord } from "./internal/records.ts"
import type { MachineRecord } from "./MachineRecord.ts"
import * as StateFolder from "./StateFolder.ts"

/** In the order in which they were launched. One that is being made or removed is not among them. @category constructors */
export const alive: Effect.Effect<ReadonlyArray<MachineRecord>, StateError> = Effect.gen(function* () {
  const stateFolder = yield* StateFolder.open
  const names = yield* Effect.mapError(list(stateFolder), StateFolder.unusable)
  const found = yield* Effect.forEach(
    names.filter((name) => !name.startsWith(".")),
    (name) =>
      Effect.flatMap(Effect.scoped(look(stateFolder, name)), ({ _tag }) =>
        _tag === "Live" ? readRecord(join(stateFolder, name)) : Effect.succeedNone
      )
  )
  return found.flatMap(Option.toArray).toSorted((one, other) => one.createdAt - other.createdAt)
}).pipe(Effect.withSpan("Machines.alive"))

/** Absolute path of a machine's folder, whether or not that is there. @category constructors */
export const folderOf = (id: string): Effect.Effect<string> =>
  Effect.map(StateFolder.path, (stateFolder) => join(stateFolder, nameOf(id)))
