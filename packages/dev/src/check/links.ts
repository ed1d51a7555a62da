/**
 * Links inside the documentation lead somewhere.
 *
 * @since 0.1.0
 */
import { stat } from "node:fs/promises"
import { dirname, join, normalize } from "node:path"
import type { Check, Finding } from "./Check.ts"

interface Link {
  readonly target: string
  readonly line: number
}

/** Lines of a Markdown text outside fenced code, numbered from 1; the others are empty. */
const prose = (markdown: string): ReadonlyArray<string> => {
  let fence: string | undefined
  return markdown.split("\n").map((line) => {
    const mark = /^\s*(```+|~~~+)/.exec(line)?.[1]
    if (mark === undefined) return fence === undefined ? line : ""
    if (fence === undefined) fence = mark
    else if (mark.startsWith(fence)) fence = undefined
    return ""
  })
}

/** The links of a Markdown text, inline and by reference. */
export const linksIn = (markdown: string): ReadonlyArray<Link> =>
  prose(markdown).flatMap((text, index) => {
    const plain = text.replace(/`[^`]*`/g, "")
    const found = [...plain.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\s*\[[^\]]+\]:\s+<?([^\s>]+)/g)]
    return found.map((match) => ({ target: match[1] ?? match[2] ?? "", line: index + 1 }))
  })

/** The anchors of a Markdown text: those that its headings have on GitHub, and those that it sets itself. */
export const anchorsIn = (markdown: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const line of prose(markdown)) {
    for (const [, id] of line.matchAll(/<a id="([^"]+)"><\/a>/g)) anchors.add(id ?? "")
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1]
    if (heading === undefined) continue
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-")
    let anchor = slug
    for (let copy = 1; anchors.has(anchor); copy++) anchor = `${slug}-${copy}`
    anchors.add(anchor)
  }
  return anchors
}

export const links: Check = {
  name: "links",
  run: async (tree) => {
    const findings: Array<Finding> = []
    for (const page of tree.files.filter((file) => file.endsWith(".md"))) {
      for (const { target, line } of linksIn(await tree.read(page))) {
        if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue
        const [path = "", anchor] = target.split("#")
        const file = path === "" ? page : normalize(join(dirname(page), decodeURI(path)))
        const where = `${page}:${line}`
        if (!(await isInTree(tree.root, file))) findings.push({ where, what: `${target} leads nowhere` })
        else if (anchor !== undefined && file.endsWith(".md") && !anchorsIn(await tree.read(file)).has(anchor)) {
          findings.push({ where, what: `${target}: no such anchor` })
        }
      }
    }
    return findings
  }
}

const isInTree = (root: string, file: string): Promise<boolean> =>
  file.startsWith("..")
    ? Promise.resolve(false)
    : stat(join(root, file)).then(
        () => true,
        () => false
      )
