/** What the reasons of errors mean, as data: `docs/FAILURES.md` is made of it. */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/** What a reason means, whatever the case at hand. @category models */
export interface FailureReason {
  /** What happened. */
  readonly happened: string
  /** Whether the same may work a little later, with nothing changed. */
  readonly retryable: boolean
  /** What to do; the `hint` of an error knows its case, and says it more exactly. */
  readonly remedy: string
}

/** The reasons of a class of errors. @category models */
export type FailureReasons = Readonly<Record<string, FailureReason>>

/** The names of a class's reasons, as a schema. @category constructors */
export const schemaOf = <Reasons extends FailureReasons>(reasons: Reasons) => Schema.Literal(...Struct.keys(reasons))

/** Where a reason is explained, as a path from the root of the repository. @category getters */
export const docsOf = (error: { readonly _tag: string; readonly reason: string }): string =>
  `docs/FAILURES.md#${`${error._tag}-${error.reason}`.toLowerCase()}`
