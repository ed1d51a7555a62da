import { ReportedError } from "@capsa/cli"
import * as Schema from "effect/Schema"

const Failed = Schema.parseJson(Schema.Struct({ error: ReportedError }))

/** Runs the command and gives its error as a value again: the same classes as in the library, and the command's own. */
export const failureOf = async (...words: ReadonlyArray<string>): Promise<ReportedError | undefined> => {
  const child = Bun.spawn(["capsa", ...words, "--json"], { stdin: "ignore", stdout: "pipe", stderr: "inherit" })
  const [stdout, status] = await Promise.all([child.stdout.text(), child.exited])
  return status === 0 ? undefined : Schema.decodeUnknownSync(Failed)(stdout).error
}
