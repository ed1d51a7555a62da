/**
 * C: formatted, free of lint, and compiled without warnings by both compilers.
 *
 * @since 0.1.0
 */
import { run } from "../Command.ts"
import { type Build, make } from "../Native.ts"
import { type Check, type Finding, findingsOf } from "./Check.ts"

const compilers: ReadonlyArray<Build> = [
  { folder: "build-gcc", variables: ["CC=gcc"] },
  { folder: "build-clang", variables: ["CC=clang"] }
]

/** A line of gcc, clang, clang-tidy or clang-format, which run in native/ or are given absolute paths. */
const pattern = /^(?<where>[^\s:]+:\d+):\d+: (?:fatal )?(?:error|warning): (?<what>.*)$/gm

const inTree = (findings: ReadonlyArray<Finding>, root: string): ReadonlyArray<Finding> =>
  findings.map(({ where, what }) => ({
    where: where.startsWith("/") ? where.replace(`${root}/`, "") : /^[^:]+:\d/.test(where) ? `native/${where}` : where,
    what
  }))

/** What the compilers say. */
export const compile: Check = {
  name: "c-compile",
  run: async (tree) => {
    const findings: Array<Finding> = []
    for (const build of compilers) {
      const made = await make(build, ["all", "tests"], () => {}, tree.root)
      findings.push(...findingsOf(`make ${build.variables.join(" ")}`, made, pattern))
    }
    return inTree(findings, tree.root)
  }
}

/** What clang-format and clang-tidy say. */
export const tidy: Check = {
  name: "c-lint",
  run: async (tree) => {
    const linted = await run(["make", "-C", "native", "lint"], { cwd: tree.root })
    return inTree(findingsOf("make lint", linted, pattern), tree.root)
  }
}
