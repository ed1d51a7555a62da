/**
 * TypeScript compiles.
 *
 * @since 0.1.0
 */
import { run } from "../Command.ts"
import { type Check, findingsOf } from "./Check.ts"

const pattern = /^(?<where>\S+\(\d+,\d+\)): (?<what>error .*)$/gm

export const types: Check = {
  name: "types",
  run: async (tree) => {
    const finished = await run(["node_modules/.bin/tsc", "--noEmit", "--pretty", "false"], { cwd: tree.root })
    return findingsOf("tsc", finished, pattern).map(({ where, what }) => ({
      where: where.replace(/\((\d+),\d+\)$/, ":$1"),
      what
    }))
  }
}
