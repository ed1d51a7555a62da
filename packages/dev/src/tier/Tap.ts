/**
 * Reads what `make -C native test` prints: for each program a line `# path/test/name`, then its TAP.
 *
 * @since 0.1.0
 */
import { failed, type Results, sum } from "./Results.ts"

interface Program {
  readonly name: string
  readonly lines: Array<string>
}

/** The results of all programs. One that doesn't end with the plan that fits its tests has crashed, and fails. */
export const parseTap = (output: string): Results => {
  const programs: Array<Program> = []
  for (const line of output.split("\n")) {
    const name = /^# \S*\/?test\/(\S+)$/.exec(line)?.[1]
    if (name === undefined) programs.at(-1)?.lines.push(line)
    else programs.push({ name, lines: [] })
  }
  return sum(programs.map(resultsOf))
}

const resultsOf = ({ name, lines }: Program): Results => {
  const tests = lines.flatMap((line) => {
    const match = /^(not ok|ok) \d+(?: - (.*?))?(?: # SKIP\s*(.*))?$/.exec(line)
    return match === null ? [] : [{ ok: match[1] === "ok", test: `${name}: ${match[2] ?? ""}`, skip: match[3] }]
  })
  const plan = lines.map((line) => /^1\.\.(\d+)$/.exec(line)?.[1]).findLast((count) => count !== undefined)
  const crash = Number(plan) === tests.length ? [] : [failed(`${name}: ended before its last test`)]
  return sum([
    ...crash,
    ...tests.map(({ ok, skip, test }) => {
      if (!ok) return failed(test)
      if (skip === undefined) return { passed: 1, failures: [], skips: [] }
      return skip === ""
        ? failed(`${test}: skipped without a cause`)
        : { passed: 0, failures: [], skips: [{ test, cause: skip }] }
    })
  ])
}
