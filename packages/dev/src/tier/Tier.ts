/**
 * What a tier of tests is.
 *
 * @since 0.1.0
 */
import type { Report } from "../Progress.ts"
import type { Results } from "./Results.ts"

/** Where a running tier tells how it goes. */
export interface Watch {
  /** Takes a line for the tier's log file. */
  readonly log: (line: string) => void
  readonly report: Report
}

/** Some tests that need the same of the machine. Each tier keeps two cores busy, so they run one after the other. */
export interface Tier {
  readonly name: string
  readonly run: (watch: Watch) => Promise<Results>
}
