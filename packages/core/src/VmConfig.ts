/** What a user may ask for. */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import { LimitsConfig } from "./LimitsConfig.ts"
import { MemorySize } from "./MemorySize.ts"
import { VmConfigError, type VmConfigProblem } from "./VmConfigError.ts"

/** A kernel of the user's own, started directly. @category models */
export const DirectBoot = Schema.Struct({
  kernel: Schema.NonEmptyString.annotations({ description: "the path of a kernel image: bzImage or vmlinux" }),
  initrd: Schema.optional(Schema.NonEmptyString.annotations({ description: "the path of an initial RAM disk" })),
  cmdline: Schema.optional(
    Schema.String.annotations({ description: "a string of kernel parameters; they win over those that capsa adds" })
  ),
  console: Schema.optional(
    Schema.Literal("serial", "virtio").annotations({
      description: '"serial" (ttyS0, the default) or "virtio" (hvc0, for kernels with virtio-console built in)'
    })
  ),
  discovery: Schema.optional(
    Schema.Literal("firmware", "cmdline").annotations({
      description: 'how the kernel finds its devices: "firmware" (tables, the default) or "cmdline" (no ACPI)'
    })
  )
}).annotations({ description: "the kernel to start: { kernel, initrd?, cmdline?, console?, discovery? }" })
/** @category models */
export type DirectBoot = typeof DirectBoot.Type

/**
 * A machine as plain data: what goes in is what comes out, so it can be written as JSON and read back.
 * Every field may be left out.
 *
 * @category models
 */
export const VmConfig = Schema.Struct({
  name: Schema.optional(
    Schema.String.annotations({ description: 'a name for people, shown in logs; "vm-" and part of the id if absent' })
  ),
  boot: Schema.optional(DirectBoot),
  cpus: Schema.optional(Schema.Int.annotations({ description: "a whole number of virtual processors; 1 if absent" })),
  memory: Schema.optional(MemorySize),
  console: Schema.optional(
    Schema.Struct({
      historyBytes: Schema.optional(
        Schema.Int.annotations({
          description: "a whole number: bytes of console output that are kept; 1048576 if absent"
        })
      )
    }).annotations({ description: "settings of the console: { historyBytes? }" })
  ),
  limits: Schema.optional(
    LimitsConfig.annotations({
      description: "what the machine may take of its host: { cpus?, memory?, pids?, io? }"
    })
  )
}).annotations({
  identifier: "VmConfig",
  description: "a machine: { name?, boot?, cpus?, memory?, console?, limits? }"
})
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
    return yield* decodeShape(input).pipe(Effect.mapError((issue) => malformed(issue, input)))
  }
)

const decodeShape = ParseResult.decodeUnknown(VmConfig, { errors: "all", onExcessProperty: "error" })

const malformed = (parseIssue: ParseResult.ParseIssue, input: unknown): VmConfigError => {
  const problems = new Map<string, VmConfigProblem>()
  const issues = ParseResult.ArrayFormatter.formatIssueSync(parseIssue)
  // An optional field fails once for its shape and once for not being undefined: only the innermost says something.
  for (const { _tag, path } of issues.filter((outer) => !issues.some((inner) => isInside(inner.path, outer.path)))) {
    const name = path.length === 0 ? "config" : path.map(String).join(".")
    problems.set(name, _tag === "Unexpected" ? unknownField(name, path) : wrongShape(name, path, valueAt(input, path)))
  }
  const [first, ...rest] = problems.values()
  return new VmConfigError({ reason: "Malformed", problems: [first ?? wrongShape("config", [], input), ...rest] })
}

type Path = ReadonlyArray<PropertyKey>

const isInside = (inner: Path, outer: Path): boolean =>
  inner.length > outer.length && outer.every((key, index) => inner[index] === key)

const valueAt = (input: unknown, path: Path): unknown =>
  path.reduce((value, key) => (Predicate.hasProperty(value, key) ? value[key] : undefined), input)

const unknownField = (name: string, path: Path): VmConfigProblem => ({
  path: name,
  detail: `There is no field "${String(path.at(-1))}".`,
  hint: `Remove it or correct its spelling; known here: ${fieldNames(astAt(path.slice(0, -1))).join(", ")}.`
})

const wrongShape = (name: string, path: Path, value: unknown): VmConfigProblem => ({
  path: name,
  detail:
    value === undefined
      ? "This field is required."
      : `The value ${Inspectable.toStringUnknown(value, 0)} does not fit.`,
  hint: `Give ${Option.getOrElse(AST.getDescriptionAnnotation(astAt(path)), () => "a value that fits")}.`
})

const fieldNames = (ast: AST.AST): ReadonlyArray<string> =>
  AST.isTypeLiteral(ast) ? ast.propertySignatures.map((signature) => String(signature.name)) : []

/** The schema of the field at a path, without the `undefined` that makes it optional. */
const astAt = (path: Path): AST.AST =>
  path.reduce<AST.AST>((ast, key) => {
    if (!AST.isTypeLiteral(ast)) return ast
    const field = ast.propertySignatures.find((signature) => signature.name === key)
    return field === undefined ? ast : withoutUndefined(field.type)
  }, VmConfig.ast)

const withoutUndefined = (ast: AST.AST): AST.AST => {
  if (!AST.isUnion(ast) || !ast.types.some(AST.isUndefinedKeyword)) return ast
  return ast.types.find((member) => !AST.isUndefinedKeyword(member)) ?? ast
}
