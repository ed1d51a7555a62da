/**
 * How a contributor's command fails: one line with the cause, one with what to do.
 *
 * @since 0.1.0
 */

/** A failure that the contributor can mend. `hint` says how. */
export class DevError extends Error {
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

/** Runs a program. A `DevError` is printed on stderr with its hint, and the process exits with 1. */
export const main = async (program: () => Promise<void>): Promise<void> => {
  try {
    await program()
  } catch (error) {
    if (!(error instanceof DevError)) throw error
    process.stderr.write(`error: ${error.message}\nhint: ${error.hint}\n`)
    process.exitCode = 1
  }
}
