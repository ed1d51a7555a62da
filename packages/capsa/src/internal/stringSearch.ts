/** Looks for many strings at once, each byte once: Aho-Corasick, with all its steps in one table. */
import type { Feed, Match, Pattern } from "./matcher.ts"

/** Finds the strings among the patterns; leaves the others alone. */
export const make = (patterns: ReadonlyArray<Pattern>, position: number): Feed => {
  const { classOf, steps, atOnce } = build(patterns)
  let row = 0
  let end = position

  const found = (index: number): Match => {
    const text = String(patterns[index])
    return { index, start: end - Buffer.byteLength(text), end, groups: [text] }
  }

  return (bytes) => {
    if (atOnce !== undefined) return found(atOnce)
    let from = row
    for (let at = 0; at < bytes.length; at++) {
      from = steps[from + (classOf[bytes[at] ?? 0] ?? 0)] ?? 0
      if (from < 0) {
        end += at + 1
        return found(~from)
      }
    }
    row = from
    end += bytes.length
    return undefined
  }
}

interface Automaton {
  /** Of each byte. Bytes that are in no pattern are all alike: class 0. */
  readonly classOf: Uint8Array
  /**
   * A row for each state, in it for each class where the next state's row begins, or `~index` where that state ends
   * the pattern of that index. The state is the longest end of what has come that begins a pattern.
   */
  readonly steps: Int32Array
  /** The pattern that is there before the first byte, the empty one. */
  readonly atOnce: number | undefined
}

const build = (patterns: ReadonlyArray<Pattern>): Automaton => {
  const strings = patterns.map((pattern) => (typeof pattern === "string" ? Buffer.from(pattern) : undefined))
  const { classOf, classes } = classify(strings)
  const length = strings.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 1)
  const steps = new Int32Array(length * classes)
  const none = patterns.length
  const endOf = new Int32Array(length).fill(none)
  let states = 1
  strings.forEach((bytes, index) => {
    if (bytes === undefined) return
    let state = 0
    for (const byte of bytes) {
      const at = state * classes + (classOf[byte] ?? 0)
      const next = steps[at] || states++
      steps[at] = next
      state = next
    }
    endOf[state] = Math.min(endOf[state] ?? none, index)
  })
  linkSuffixes(steps, endOf, classes)
  for (let at = 0; at < steps.length; at++) {
    const state = steps[at] ?? 0
    const index = endOf[state] ?? none
    steps[at] = index < none ? ~index : state * classes
  }
  return { classOf, steps, atOnce: strings.findIndex((bytes) => bytes?.length === 0) === -1 ? undefined : endOf[0] }
}

const classify = (strings: ReadonlyArray<Uint8Array | undefined>) => {
  const classOf = new Uint8Array(256)
  // UTF-8 uses 243 of the 256 bytes, so the number of a class fits.
  let classes = 1
  for (const bytes of strings) {
    for (const byte of bytes ?? []) if (classOf[byte] === 0) classOf[byte] = classes++
  }
  return { classOf, classes }
}

/**
 * Fills the steps that the trie has not with those of the longest proper suffix. Breadth first, so that the row of a
 * suffix, which is shorter, is complete before it is used.
 */
const linkSuffixes = (steps: Int32Array, endOf: Int32Array, classes: number): void => {
  const suffixOf = new Int32Array(endOf.length)
  const queue = [...steps.subarray(0, classes)].filter((state) => state !== 0)
  for (const state of queue) {
    const suffix = suffixOf[state] ?? 0
    endOf[state] = Math.min(endOf[state] ?? 0, endOf[suffix] ?? 0)
    for (let kind = 1; kind < classes; kind++) {
      const at = state * classes + kind
      const child = steps[at] ?? 0
      const shorter = steps[suffix * classes + kind] ?? 0
      if (child === 0) steps[at] = shorter
      else {
        suffixOf[child] = shorter
        queue.push(child)
      }
    }
  }
}
