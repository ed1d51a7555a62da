/** Parts of pages that are written by programs. */

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n")

export const code = (text: string): string => `\`${text}\``

/** A page whose part between two comments is the one given. The first comment names the script of this folder that writes it. */
export const withGenerated = (text: string, script: string, parts: ReadonlyArray<string>): string => {
  const begin = `<!-- begin: written by packages/capsa/scripts/${script} -->`
  const [before = "", rest = ""] = text.split(begin)
  const after = rest.slice(rest.indexOf("<!-- end -->"))
  return `${before}${begin}\n\n${parts.join("\n\n")}\n\n${after}`
}
