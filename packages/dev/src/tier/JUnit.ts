/**
 * Reads the report that `bun test --reporter=junit` writes.
 *
 * @since 0.1.0
 */
import { failed, type Results, sum } from "./Results.ts"

/** How the title of a test, or of a group around it, names the cause for skipping it. */
const cause = /\W*\bskipped: (.+)$/

/**
 * The results of the test files `files`, whose report is `xml`. A file that the report doesn't have could not be
 * loaded, has no tests, or brought the process down: it fails. So does a skipped test that doesn't say why.
 */
export const parseJUnit = (xml: string, files: ReadonlyArray<string>): Results => {
  const cases = [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)].map((match) => {
    const attributes = match[1] ?? ""
    const titles = [...attribute(attributes, "classname").split(" > "), attribute(attributes, "name")]
    return { file: attribute(attributes, "file"), titles: titles.filter((title) => title !== ""), body: match[2] ?? "" }
  })
  const seen = new Set(cases.map(({ file }) => file))
  const silent = files.filter((file) => !seen.has(file))
  return sum([...silent.map((file) => failed(`${file}: no test of it was reported`)), ...cases.map(resultOf)])
}

interface Case {
  readonly file: string
  /** Of the groups around it, then its own. */
  readonly titles: ReadonlyArray<string>
  readonly body: string
}

const resultOf = ({ file, titles, body }: Case): Results => {
  const test = `${file}: ${titles.map((title) => title.replace(cause, "")).join(" > ")}`
  if (/<(failure|error)\b/.test(body)) return failed(test)
  if (!/<skipped\b/.test(body)) return { passed: 1, failures: [], skips: [] }
  const why = titles.map((title) => cause.exec(title)?.[1]).find((_) => _ !== undefined)
  return why === undefined
    ? failed(`${test}: skipped, and no title says "skipped: <cause>"`)
    : { passed: 0, failures: [], skips: [{ test, cause: why }] }
}

const attribute = (attributes: string, name: string): string => {
  const value = new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? ""
  return value.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, entity: string) => characterOf(entity) ?? whole)
}

const characterOf = (entity: string): string | undefined => {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }
  const code = /^#(x)?([0-9a-f]+)$/i.exec(entity)
  if (code === null) return named[entity]
  return String.fromCodePoint(Number.parseInt(code[2] ?? "", code[1] === undefined ? 10 : 16))
}
