/** What a launcher and the supervisor that it starts tell each other, as lines of JSON. */
import { VmConfig } from "@capsa/core"
import * as Schema from "effect/Schema"
import { backendNames } from "../backendNames.ts"
import { MachineReport } from "../MachineReport.ts"
import { ReportedError } from "../Report.ts"

/** To the supervisor, on its standard input. */
export const Order = Schema.parseJson(Schema.Struct({ config: VmConfig, backend: Schema.Literal(...backendNames) }))
export type Order = typeof Order.Type

/** From the supervisor, on its standard output: how far it is, and then once how it went. */
export const News = Schema.parseJson(
  Schema.Union(
    Schema.TaggedStruct("Stage", { phrase: Schema.String }),
    Schema.TaggedStruct("Ready", { machine: MachineReport }),
    Schema.TaggedStruct("Failed", { error: ReportedError })
  )
)
export type News = typeof News.Type
