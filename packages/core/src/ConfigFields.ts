/** The fields of a configuration, for people to read. */
import * as Option from "effect/Option"
import * as AST from "effect/SchemaAST"
import { shapeOf, withoutUndefined } from "./internal/shape.ts"
import { VmConfig } from "./VmConfig.ts"

/** @category models */
export interface ConfigField {
  /** Dotted; "[]" stands for a place in a list. */
  readonly path: string
  readonly required: boolean
  /** What can be written there. */
  readonly shape: string
  /** What holds where it is left out, if that is a value; `undefined` otherwise. */
  readonly default: unknown
  readonly description: string
}

/** Every field in the order of the schema, parents before children. @category getters */
export const fields = (): ReadonlyArray<ConfigField> => {
  const seen = new Map<string, ConfigField>()
  for (const field of fieldsOf(VmConfig.ast, "")) {
    const { path } = field
    // Alternatives that share a field, such as the modes of a network, make one row.
    const other = seen.get(path)
    seen.set(
      path,
      other === undefined
        ? field
        : {
            ...other,
            shape: `${other.shape} or ${field.shape}`,
            description: `${other.description} ${field.description}`
          }
    )
  }
  return [...seen.values()]
}

const fieldsOf = (ast: AST.AST, prefix: string): ReadonlyArray<ConfigField> => {
  if (AST.isUnion(ast)) return ast.types.flatMap((member) => fieldsOf(member, prefix))
  if (AST.isRefinement(ast)) return fieldsOf(ast.from, prefix)
  if (AST.isTupleType(ast)) return ast.rest.flatMap(({ type }) => fieldsOf(type, `${prefix}[]`))
  if (!AST.isTypeLiteral(ast)) return []
  return ast.propertySignatures.flatMap((signature) => {
    const path = prefix === "" ? String(signature.name) : `${prefix}.${String(signature.name)}`
    const type = withoutUndefined(signature.type)
    const field: ConfigField = {
      path,
      required: !signature.isOptional,
      shape: shapeOf(type),
      default: Option.getOrUndefined(AST.getAnnotation(signature, AST.DefaultAnnotationId)),
      description: Option.getOrElse(AST.getDescriptionAnnotation(signature), () => "")
    }
    return [field, ...fieldsOf(type, path)]
  })
}
