/** What a machine may take of its host. */
import * as Schema from "effect/Schema"
import { MemorySize } from "./MemorySize.ts"

/** Disk traffic; sizes are per second. @category models */
export const IoLimits = Schema.Struct({
  readPerSecond: Schema.optional(MemorySize).annotations({ description: "Most that is read in a second." }),
  writePerSecond: Schema.optional(MemorySize).annotations({ description: "Most that is written in a second." }),
  readOpsPerSecond: Schema.optional(Schema.Int).annotations({ description: "Most reads in a second." }),
  writeOpsPerSecond: Schema.optional(Schema.Int).annotations({ description: "Most writes in a second." })
})
/** @category models */
export type IoLimits = typeof IoLimits.Type

/** Held by the host's kernel, for the machine and all that serves it. What is absent is not limited. @category models */
export const LimitsConfig = Schema.Struct({
  cpus: Schema.optional(Schema.JsonNumber).annotations({
    description: "Processor time, in processors: 0.5 is half of one. At least 0.01."
  }),
  memory: Schema.optional(MemorySize).annotations({
    description:
      "Memory of the host, that of the guest included: a machine that needs more is ended as out of memory. At least 32MiB."
  }),
  pids: Schema.optional(Schema.Int).annotations({ description: "Processes and threads. At least 1." }),
  io: Schema.optional(IoLimits).annotations({ description: "Traffic to each disk of the host." })
})
/** @category models */
export type LimitsConfig = typeof LimitsConfig.Type
