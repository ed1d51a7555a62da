import * as Option from "effect/Option"
import * as AST from "effect/SchemaAST"

/** What may be written for a schema, in words: `"ro" or "rw"`, `{ kernel, initrd? }`, `a list of …`. */
export const shapeOf = (ast: AST.AST): string => Option.getOrElse(AST.getDescriptionAnnotation(ast), () => spelled(ast))

const spelled = (ast: AST.AST): string => {
  switch (ast._tag) {
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return oneOf(ast.types.filter((member) => !AST.isUndefinedKeyword(member)).map(shapeOf))
    case "TupleType":
      return `a list of ${oneOf(ast.rest.map(({ type }) => shapeOf(type)))}`
    case "TypeLiteral":
      return `{ ${[...ast.propertySignatures.map(keyOf), ...ast.indexSignatures.map(entryOf)].join(", ")} }`
    case "Refinement":
      return shapeOf(ast.from)
    default:
      return "a value that fits"
  }
}

const keyOf = ({ name, isOptional }: AST.PropertySignature): string => `${String(name)}${isOptional ? "?" : ""}`

const entryOf = ({ type }: AST.IndexSignature): string => `NAME: ${shapeOf(type)}`

/** "a, b or c". */
export const oneOf = (choices: ReadonlyArray<string>): string =>
  choices.length < 2 ? choices.join() : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`

/** The schema of an optional field, without the `undefined` that makes it optional. */
export const withoutUndefined = (ast: AST.AST): AST.AST =>
  AST.isUnion(ast)
    ? AST.Union.make(
        ast.types.filter((member) => !AST.isUndefinedKeyword(member)),
        ast.annotations
      )
    : ast
