/** What the reports of the verbs that launch a machine have in common. */
import { BackendName, BootStage } from "@capsa/core"
import type { Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** What `capsa run --detach --json` prints. @category models */
export const MachineReport = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  backend: Schema.Struct({ name: BackendName, description: Schema.String }),
  stages: Schema.Array(BootStage)
})
/** @category models */
export type MachineReport = typeof MachineReport.Type

/** As it is now. */
export const of = ({ backend, id, name, stages }: Vm.Vm): Effect.Effect<MachineReport> =>
  Effect.map(stages, (stages) => ({
    id,
    name,
    backend: { name: backend.name, description: backend.description },
    stages
  }))
