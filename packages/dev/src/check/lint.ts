/**
 * TypeScript and JSON are formatted and free of lint; warnings count.
 *
 * @since 0.1.0
 */
import { run } from "../Command.ts"
import { type Check, findingsOf } from "./Check.ts"

// Biome's reporter for GitHub has one line per finding.
const pattern = /^::\w+ title=(?<rule>[^,]*),file=(?<file>[^,]*),line=(?<line>\d+),.*?::(?<what>.*)$/gm

export const lint: Check = {
  name: "lint",
  run: async (tree) => {
    const biome = ["node_modules/.bin/biome", "ci", "--error-on-warnings", "--reporter=github"]
    const finished = await run([...biome, "--max-diagnostics=none", "."], { cwd: tree.root })
    const named = finished.output.replaceAll(`${tree.root}/`, "").replace(pattern, "$<file>:$<line>: $<rule>: $<what>")
    return findingsOf("biome", { ...finished, output: named }, /^(?<where>\S+:\d+): (?<what>\S+: .*)$/gm)
  }
}
