import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { MachineRecord, recordFile } from "../MachineRecord.ts"
import { read, rename, write } from "./files.ts"

const Json = Schema.parseJson(MachineRecord)

/** In one step for those who read it. */
export const writeRecord = Effect.fnUntraced(function* (folder: string, record: MachineRecord) {
  const draft = join(folder, ".record")
  yield* write(draft, yield* Effect.orDie(Schema.encode(Json)(record)))
  yield* rename(draft, join(folder, recordFile))
})

/** Absent where there is none, or none that this version understands. */
export const readRecord = (folder: string): Effect.Effect<Option.Option<MachineRecord>> =>
  Effect.option(Effect.flatMap(read(join(folder, recordFile)), Schema.decode(Json)))
