/**
 * All checks, and how they are run.
 *
 * @since 0.1.0
 */
import type { Check, Finding } from "./check/Check.ts"
import { dependencies } from "./check/dependencies.ts"
import { failures } from "./check/failures.ts"
import { files } from "./check/files.ts"
import { imports } from "./check/imports.ts"
import { licences } from "./check/licences.ts"
import { links } from "./check/links.ts"
import { lint } from "./check/lint.ts"
import { markers } from "./check/markers.ts"
import { compile, tidy } from "./check/native.ts"
import { types } from "./check/types.ts"
import type { Progress } from "./Progress.ts"
import { Slots } from "./Slots.ts"
import type { Tree } from "./Tree.ts"

/** The slow ones first. */
export const checks: ReadonlyArray<Check> = [
  tidy,
  compile,
  types,
  lint,
  failures,
  imports,
  dependencies,
  licences,
  links,
  markers,
  files
]

export interface Checked {
  readonly name: string
  readonly findings: ReadonlyArray<Finding>
  readonly elapsedMs: number
}

/** Runs checks, two at a time. */
export const runChecks = (
  tree: Tree,
  progress: Progress,
  wanted: ReadonlyArray<Check> = checks
): Promise<ReadonlyArray<Checked>> => {
  const slots = new Slots(2)
  return Promise.all(
    wanted.map((check) =>
      slots.run(async () => {
        const startedAt = performance.now()
        const findings = await progress.step(check.name, () => check.run(tree).catch(crashed(check)))
        return { name: check.name, findings, elapsedMs: performance.now() - startedAt }
      })
    )
  )
}

/** A check that cannot do its work has not found that all is well. */
const crashed = (check: Check) => (cause: unknown) => [{ where: check.name, what: `could not run: ${cause}` }]

/** Findings for people and for editors: `file:line: what`. */
export const format = (findings: ReadonlyArray<Finding>): string =>
  findings.map(({ where, what }) => `${where}: ${what}\n`).join("")
