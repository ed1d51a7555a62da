/**
 * C: formatted, free of lint, and compiled without warnings by both compilers.
 *
 * @since 0.1.0
 */
import { run } from "../Command.ts"
import { arm64, arm64Missing, type Build, make } from "../Native.ts"
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

/** On both architectures, where there is a compiler for the other. */
const builds = (): ReadonlyArray<Build> => (arm64Missing() === undefined ? [...compilers, arm64] : compilers)

/** What the compilers say. */
export const compile: Check = {
  name: "c-compile",
  run: async (tree) => {
    const findings: Array<Finding> = []
    for (const build of builds()) {
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
    const architectures = arm64Missing() === undefined ? [[], ["ARCH=aarch64"]] : [[]]
    const findings: Array<Finding> = []
    for (const variables of architectures) {
      const linted = await run(["make", "-C", "native", "lint", ...variables], { cwd: tree.root })
      findings.push(...findingsOf(["make lint", ...variables].join(" "), linted, pattern))
    }
    return inTree(findings, tree.root)
  }
}
