/** Folders that a machine shares with its host. */
import * as Schema from "effect/Schema"
import { defaults } from "./ConfigDefaults.ts"

/** A folder of the host in the guest. @category models */
export const ShareConfig = Schema.Struct({
  host: Schema.propertySignature(Schema.NonEmptyString).annotations({ description: "Path of the host's folder." }),
  guest: Schema.propertySignature(Schema.NonEmptyString).annotations({
    description: "Where the guest has it: an absolute path."
  }),
  mode: Schema.optional(Schema.Literal("ro", "rw")).annotations({
    default: defaults.shareMode,
    description: "Whether the guest may only read it, or write too."
  }),
  tag: Schema.optional(Schema.String).annotations({
    description:
      'Its name among the guest\'s devices: 1 to 36 letters, digits, ".", "_", "-". "share" and its place in the list if absent.'
  }),
  cache: Schema.optional(Schema.Literal("none", "auto", "always")).annotations({
    default: defaults.shareCache,
    description:
      'How long the guest may trust what it knows: "none", it asks every time; "auto", for a second, and reads a file anew when it opens it; "always", while nobody but this guest changes the folder.'
  }),
  uid: Schema.optional(Schema.Int).annotations({
    description: "The guest's user to whom the files seem to belong. The owners that the host sees if absent."
  })
})
/** @category models */
export type ShareConfig = typeof ShareConfig.Type
