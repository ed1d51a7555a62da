/**
 * What is in git is text that people wrote: no binaries, nothing large.
 *
 * @since 0.1.0
 */
import type { Check } from "./Check.ts"

const bytesMax = 200 * 1024

/** What is wrong with a file's content, if anything. */
export const problemWith = (content: Uint8Array): string | undefined => {
  if (content.byteLength > bytesMax) return `${Math.ceil(content.byteLength / 1024)} KiB; at most ${bytesMax / 1024}`
  if (content.includes(0)) return "binary"
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(content)
    return undefined
  } catch {
    return "not UTF-8 text"
  }
}

export const files: Check = {
  name: "files",
  run: async (tree) => {
    const found = await Promise.all(
      tree.files.map(async (where) => {
        const what = problemWith(await tree.bytes(where))
        return what === undefined ? [] : [{ where, what }]
      })
    )
    return found.flat()
  }
}
