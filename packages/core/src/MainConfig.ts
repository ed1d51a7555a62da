/** What a machine is there to run. */
import * as Schema from "effect/Schema"

/** JavaScript would lose a key called "__proto__". */
const variableName = /^(?!__proto__$)[^=\0]+$/

const VariableName = Schema.String.pipe(
  Schema.filter((text) => variableName.test(text), {
    description: 'the name of a variable, without "=" and NUL',
    jsonSchema: { pattern: variableName.source },
    arbitrary: () => (fc) => fc.string({ minLength: 1 }).filter((text) => variableName.test(text))
  })
)

/** A process of the built-in guest; the machine ends when it does, with its status. @category models */
export const MainConfig = Schema.Struct({
  argv: Schema.propertySignature(
    Schema.Array(Schema.String).pipe(Schema.minItems(1, { description: "a list of at least one string" }))
  ).annotations({
    description: "Program, found on the guest's PATH, and its arguments; no shell reads them."
  }),
  env: Schema.optional(Schema.Record({ key: VariableName, value: Schema.String })).annotations({
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
