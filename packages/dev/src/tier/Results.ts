/**
 * What tests came to.
 *
 * @since 0.1.0
 */

/** A test that did not run. */
export interface Skip {
  readonly test: string
  readonly cause: string
}

export interface Results {
  readonly passed: number
  /** One line for each failure. */
  readonly failures: ReadonlyArray<string>
  readonly skips: ReadonlyArray<Skip>
}

/** All of several. */
export const sum = (parts: ReadonlyArray<Results>): Results => ({
  passed: parts.reduce((total, { passed }) => total + passed, 0),
  failures: parts.flatMap(({ failures }) => failures),
  skips: parts.flatMap(({ skips }) => skips)
})

/** Nothing but failures. */
export const failed = (...failures: ReadonlyArray<string>): Results => ({ passed: 0, failures, skips: [] })

/** Puts a word before every name. */
export const prefix = (word: string, results: Results): Results => ({
  passed: results.passed,
  failures: results.failures.map((failure) => `${word}: ${failure}`),
  skips: results.skips.map(({ test, cause }) => ({ test: `${word}: ${test}`, cause }))
})

/**
 * The results of something that must also have ended well: a program that fails without a failing test, or that had
 * none at all, is a failure of its own.
 */
export const withExit = (what: string, exitCode: number, results: Results): Results => {
  if (exitCode !== 0 && results.failures.length === 0) {
    return sum([results, failed(`${what} ended with ${exitCode} though no test of it failed`)])
  }
  if (results.passed + results.failures.length + results.skips.length === 0) return failed(`${what} ran no test`)
  return results
}

/** The last line of a test run. */
export const tally = ({ passed, failures, skips }: Results): string =>
  `${passed} passed, ${failures.length} failed, ${skips.length} skipped`
