/** What a user may ask for. */
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { BootConfig } from "./BootConfig.ts"
import { defaults } from "./ConfigDefaults.ts"
import { DiskConfig } from "./DiskConfig.ts"
import { malformed } from "./internal/malformed.ts"
import { LimitsConfig } from "./LimitsConfig.ts"
import { MainConfig } from "./MainConfig.ts"
import { MemorySize } from "./MemorySize.ts"
import { NetworkConfig } from "./NetworkConfig.ts"
import { ShareConfig } from "./ShareConfig.ts"
import { TimeSpan } from "./TimeSpan.ts"
import type { VmConfigError } from "./VmConfigError.ts"

/** @category models */
export const ConsoleConfig = Schema.Struct({
  historyBytes: Schema.optional(Schema.Int).annotations({
    default: defaults.historyBytes,
    description: "Bytes of output that are kept, the newest: 4096 to 268435456."
  })
})
/** @category models */
export type ConsoleConfig = typeof ConsoleConfig.Type

/**
 * A machine as plain data: what goes in is what comes out, so it can be written as JSON and read back.
 * Every field may be left out.
 *
 * @category models
 */
export const VmConfig = Schema.Struct({
  name: Schema.optional(Schema.String).annotations({
    description:
      'A name for people, shown in logs: at most 63 letters, digits, ".", "_", "-". "vm-" and part of the id if absent.'
  }),
  boot: Schema.optional(BootConfig).annotations({ description: "What is started. The built-in guest if absent." }),
  cpus: Schema.optional(Schema.Int).annotations({
    default: defaults.cpus,
    description: "Virtual processors, as many as the backend allows."
  }),
  memory: Schema.optional(MemorySize).annotations({
    default: defaults.memory,
    description: "The guest's memory: 32MiB or more."
  }),
  disks: Schema.optional(Schema.Array(DiskConfig)).annotations({
    description: "Disks, in the order in which the guest finds them; with a kernel of one's own the first has its root."
  }),
  shares: Schema.optional(Schema.Array(ShareConfig)).annotations({ description: "Folders shared with the host." }),
  network: Schema.optional(NetworkConfig).annotations({
    default: defaults.network,
    description: "How the machine reaches a network."
  }),
  vsock: Schema.optional(Schema.Boolean).annotations({
    default: false,
    description: "Whether host and guest can connect to each other by port number, without a network."
  }),
  balloon: Schema.optional(Schema.Boolean).annotations({
    default: false,
    description: "Whether the guest gives memory that it does not need back to the host."
  }),
  console: Schema.optional(ConsoleConfig).annotations({ description: "Settings of the console." }),
  limits: Schema.optional(LimitsConfig).annotations({
    description: "What the machine may take of its host, held by the host's kernel."
  }),
  isolation: Schema.optional(Schema.Literal("inline", "process")).annotations({
    default: defaults.isolation,
    description: 'Where the backend itself runs the machine, or, with "process", in a jail of the machine\'s own.'
  }),
  main: Schema.optional(MainConfig).annotations({ description: "A process that the machine is there to run." }),
  readyTimeout: Schema.optional(TimeSpan).annotations({
    description:
      "How long the machine may take until the first process of the guest runs, at most 24 days. The launch waits for that; without it, only for the first instruction."
  }),
  maxLifetime: Schema.optional(TimeSpan).annotations({
    description: "How long the machine may run before it is stopped, at most 24 days."
  })
}).annotations({ identifier: "VmConfig", description: "A machine as plain data." })
/** @category models */
export type VmConfig = typeof VmConfig.Type

/**
 * Decodes a configuration that comes from elsewhere. Fails with `Malformed` and a problem for each field that is unknown
 * or of the wrong shape; whether its values can be run is for `validate` in `ConfigValidation` to say.
 *
 * @category decoding
 */
export const decode: (input: unknown) => Effect.Effect<VmConfig, VmConfigError> = Effect.fn("VmConfig.decode")(
  function* (input: unknown) {
    return yield* decodeShape(input).pipe(Effect.mapError(malformed))
  }
)

const decodeShape = ParseResult.decodeUnknown(VmConfig, { errors: "all", onExcessProperty: "error" })

/**
 * The JSON Schema (draft 7) of a configuration, for editors and other languages: it accepts what {@link decode} does.
 *
 * @category decoding
 */
export const jsonSchema = (): JSONSchema.JsonSchema7Root => JSONSchema.make(VmConfig)
