import * as Arr from "effect/Array"
import * as Inspectable from "effect/Inspectable"
import type * as ParseResult from "effect/ParseResult"
import * as AST from "effect/SchemaAST"
import { VmConfigError, type VmConfigProblem } from "../VmConfigError.ts"
import { shapeOf } from "./shape.ts"

/** Every field that did not decode, once, with what is right there. */
export const malformed = (issue: ParseResult.ParseIssue): VmConfigError =>
  new VmConfigError({ reason: "Malformed", problems: problemsAt([], issue) })

type Path = ReadonlyArray<PropertyKey>

const problemsAt = (path: Path, issue: ParseResult.ParseIssue): Arr.NonEmptyReadonlyArray<VmConfigProblem> => {
  const composite = opened(issue)
  if (composite === undefined) return [wrongShape(path, issue)]
  const parts = Arr.ensure(composite.issues)
  const problems = parts.flatMap((part) => (part._tag === "Pointer" ? problemsOfField(path, part, composite.ast) : []))
  if (Arr.isNonEmptyReadonlyArray(problems)) return problems
  const meant = alternativeMeant(parts)
  return meant === undefined ? [wrongShape(path, composite)] : problemsAt(path, meant)
}

const problemsOfField = (
  parents: Path,
  { path, issue }: ParseResult.Pointer,
  parent: AST.AST
): ReadonlyArray<VmConfigProblem> => {
  const field = [...parents, ...Arr.ensure(path)]
  return issue._tag === "Unexpected" ? [unknownField(field, parent)] : problemsAt(field, issue)
}

const opened = (issue: ParseResult.ParseIssue): ParseResult.Composite | undefined => {
  if (issue._tag === "Composite") return issue
  return issue._tag === "Refinement" && issue.kind === "From" ? opened(issue.issue) : undefined
}

/** Of several alternatives that failed, the first whose tag fits; only where none does, the one that lacks it. */
const alternativeMeant = (parts: ReadonlyArray<ParseResult.ParseIssue>): ParseResult.Composite | undefined => {
  const composites = parts.flatMap((part) => opened(part) ?? [])
  return composites.find(({ issues }) => !isMissing(issues)) ?? composites[0]
}

const isMissing = (issues: ParseResult.Composite["issues"]): boolean =>
  "_tag" in issues && issues._tag === "Pointer" && issues.issue._tag === "Missing"

const nameOf = (path: Path): string => (path.length === 0 ? "config" : path.map(String).join("."))

const unknownField = (path: Path, parent: AST.AST): VmConfigProblem => ({
  path: nameOf(path),
  detail: `There is no field "${String(path.at(-1))}".`,
  hint: `Remove it or correct its spelling; known here: ${known(parent)}.`
})

const known = (ast: AST.AST): string =>
  AST.isTypeLiteral(ast)
    ? [
        ...ast.propertySignatures.map(({ name }) => String(name)),
        ...ast.indexSignatures.map(({ parameter }) => shapeOf(parameter))
      ].join(", ")
    : "nothing"

const wrongShape = (path: Path, issue: ParseResult.ParseIssue): VmConfigProblem => ({
  path: nameOf(path),
  detail:
    issue._tag === "Missing"
      ? "This field is required."
      : `The value ${Inspectable.toStringUnknown(issue.actual, 0)} does not fit.`,
  hint: `Give ${expected(issue)}.`
})

const expected = (issue: ParseResult.ParseIssue): string => {
  if (!("ast" in issue)) return "a value that fits"
  return shapeOf(issue._tag === "Missing" ? issue.ast.type : issue.ast)
}
