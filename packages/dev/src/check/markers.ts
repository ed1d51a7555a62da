/**
 * Nothing in the tree says that it is unfinished.
 *
 * @since 0.1.0
 */
import type { Check } from "./Check.ts"

// Put together here, so that this file is not its own first finding.
const tags = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`)
const phrases = new RegExp(`\\b(?:not |un)${"implemented"}\\b`, "i")

/** The lines of a text that say so, numbered from 1. */
export const markersIn = (text: string): ReadonlyArray<{ readonly line: number; readonly text: string }> =>
  text
    .split("\n")
    .flatMap((line, index) => (tags.test(line) || phrases.test(line) ? [{ line: index + 1, text: line.trim() }] : []))

export const markers: Check = {
  name: "markers",
  run: async (tree) => {
    const found = await Promise.all(
      tree.files
        .filter((file) => file !== "bun.lock")
        .map(async (file) =>
          markersIn(await tree.read(file)).map(({ line, text }) => ({
            where: `${file}:${line}`,
            what: `finish it, or refuse it with a typed error and list that in docs: ${text}`
          }))
        )
    )
    return found.flat()
  }
}
