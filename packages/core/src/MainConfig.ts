/** What a machine is there to run. */
import * as Schema from "effect/Schema"

/** A process of the built-in guest; the machine ends when it does, with its status. @category models */
export const MainConfig = Schema.Struct({
  argv: Schema.propertySignature(Schema.Array(Schema.String).pipe(Schema.minItems(1))).annotations({
    description: "Program, found on the guest's PATH, and its arguments; no shell reads them."
  }),
  env: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String })).annotations({
    description: "Environment variables, added to those of the guest."
  }),
  cwd: Schema.optional(Schema.NonEmptyString).annotations({
    default: "/",
    description: "Folder of the guest in which it starts: an absolute path."
  }),
  user: Schema.optional(Schema.NonEmptyString).annotations({
    default: "root",
    description: 'User of the guest who runs it: "name", "uid", "name:group" or "uid:gid".'
  })
})
/** @category models */
export type MainConfig = typeof MainConfig.Type
