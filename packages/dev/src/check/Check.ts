/**
 * What a check of the tree is.
 *
 * @since 0.1.0
 */
import type { Tree } from "../Tree.ts"

/** A thing to mend. */
export interface Finding {
  /** `path:line`, or a path alone, from the root of the checkout. */
  readonly where: string
  readonly what: string
}

/** One rule of the tree, or a few of a kind. */
export interface Check {
  readonly name: string
  /** What it finds wrong; empty when all is well. */
  readonly run: (tree: Tree) => Promise<ReadonlyArray<Finding>>
}

/** Turns the lines of a tool's output that `pattern` (groups `where` and `what`) matches into findings. */
export const findingsIn = (output: string, pattern: RegExp): ReadonlyArray<Finding> =>
  [...output.matchAll(pattern)].map(({ groups }) => ({ where: groups?.["where"] ?? "", what: groups?.["what"] ?? "" }))

/** What to say of a tool that failed: its findings, else the end of its output. */
export const findingsOf = (
  tool: string,
  finished: { readonly exitCode: number; readonly output: string },
  pattern: RegExp
): ReadonlyArray<Finding> => {
  if (finished.exitCode === 0) return []
  const found = findingsIn(finished.output, pattern)
  return found.length > 0
    ? found
    : [{ where: tool, what: `failed (${finished.exitCode})\n${finished.output.trim().slice(-4000)}` }]
}
