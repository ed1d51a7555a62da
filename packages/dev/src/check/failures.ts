/**
 * docs/FAILURES.md says of every error what the code says.
 *
 * @since 0.1.0
 */
import { run } from "../Command.ts"
import { type Check, findingsOf } from "./Check.ts"

const document = "docs/FAILURES.md"

/** Whose errors reach people: those of other packages are causes of these. */
const sources = /^packages\/(capsa|cli|core|telemetry)\/src\/.*\.ts$/

/** The classes of errors that a TypeScript text exports. */
export const errorsIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^export class (\w+) extends Schema\.TaggedError\b/gm)].map(([, name]) => name ?? "")

export const failures: Check = {
  name: "failures",
  run: async (tree) => {
    const page = await tree.read(document)
    const texts = await Promise.all(tree.files.filter((file) => sources.test(file)).map((file) => tree.read(file)))
    const missing = texts
      .flatMap(errorsIn)
      .filter((name) => !page.includes(`| ${name} | what happened |`))
      .map((name) => ({ where: document, what: `no table for ${name}: add its reasons in core/src/Failure.ts` }))
    const argv = [process.execPath, "docs/examples/failures/page.ts", "--check"]
    const drifted = findingsOf("page.ts", await run(argv, { cwd: tree.root }), /^(?<where>\S+:\d+): (?<what>.*)$/gm)
    return [...missing, ...drifted]
  }
}
