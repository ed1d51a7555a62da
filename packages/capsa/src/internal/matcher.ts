/**
 * Finds the first of several patterns in a stream of bytes that comes in pieces of any size. Pure; each byte is looked at
 * once for all strings together (Aho-Corasick), and within a bounded window for each RegExp.
 */

import { isUtf8 } from "node:buffer"

/** Text is matched as its UTF-8 bytes. A RegExp sees output as text; its `g` and `y` flags mean nothing. */
export type Pattern = string | RegExp

export interface Match {
  /** Of the pattern in the list. */
  readonly index: number
  /** Positions of the match in the stream. */
  readonly start: number
  readonly end: number
  /** The whole match, then the groups of a RegExp. */
  readonly groups: readonly [string, ...ReadonlyArray<string | undefined>]
}

export interface Matcher {
  /**
   * Takes the next bytes and tells the match that ends first, for equal ends that of the pattern named first. A string
   * matches as soon as its last byte is there; a RegExp is tried on what is there at the end of each piece.
   * After a match the matcher is used up.
   */
  readonly feed: (bytes: Uint8Array) => Match | undefined
}

/** How far back from the newest piece a RegExp sees. A longer match is not found. */
export const windowBytes = 8192

export const make = (patterns: ReadonlyArray<Pattern>, position: number): Matcher => {
  const finders = [
    makeStrings(patterns, position),
    ...patterns.flatMap((pattern, index) => (typeof pattern === "string" ? [] : [makeRegExp(pattern, index, position)]))
  ]
  return {
    feed: (bytes) =>
      finders
        .map((feed) => feed(bytes))
        .filter((match) => match !== undefined)
        .toSorted((a, b) => a.end - b.end || a.index - b.index)[0]
  }
}

type Feed = Matcher["feed"]

interface Node {
  readonly children: Map<number, Node>
  /** Where to go on when no child fits: the node of the longest proper suffix. */
  fail: Node | undefined
  /** The pattern that ends here, as its place in the list. */
  ends: number | undefined
}

const makeNode = (): Node => ({ children: new Map(), fail: undefined, ends: undefined })

const lower = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

const buildTrie = (patterns: ReadonlyArray<Pattern>): Node => {
  const root = makeNode()
  patterns.forEach((pattern, index) => {
    if (typeof pattern !== "string") return
    let node = root
    for (const byte of Buffer.from(pattern)) {
      const child = node.children.get(byte) ?? makeNode()
      node.children.set(byte, child)
      node = child
    }
    node.ends = lower(node.ends, index)
  })
  linkSuffixes(root)
  return root
}

/** Breadth first, so that the suffix of a node, which is shorter, is linked before it. */
const linkSuffixes = (root: Node): void => {
  const queue = [root]
  for (const node of queue) {
    for (const [byte, child] of node.children) {
      let suffix = node.fail
      while (suffix !== undefined && !suffix.children.has(byte)) suffix = suffix.fail
      child.fail = suffix?.children.get(byte) ?? root
      child.ends = lower(child.ends, child.fail.ends)
      queue.push(child)
    }
  }
}

const makeStrings = (patterns: ReadonlyArray<Pattern>, position: number): Feed => {
  const root = buildTrie(patterns)
  let node = root
  let end = position

  const step = (byte: number): Node => {
    for (let from: Node | undefined = node; from !== undefined; from = from.fail) {
      const child = from.children.get(byte)
      if (child !== undefined) return child
    }
    return root
  }

  const found = (index: number): Match | undefined => {
    const text = patterns[index]
    if (typeof text !== "string") return undefined
    return { index, start: end - Buffer.byteLength(text), end, groups: [text] }
  }

  // Most bytes begin no pattern: a table passes them quicker than a tree.
  const begins = Uint8Array.from({ length: 256 }, (_, byte) => (root.children.has(byte) ? 1 : 0))

  return (bytes) => {
    if (root.ends !== undefined) return found(root.ends)
    const base = end
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (node === root && begins[byte] === 0) continue
      node = step(byte)
      end = base + at + 1
      if (node.ends !== undefined) return found(node.ends)
    }
    end = base + bytes.length
    return undefined
  }
}

const makeRegExp = (pattern: RegExp, index: number, position: number): Feed => {
  const search = new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`)
  let window: Uint8Array = new Uint8Array(0)
  let windowStart = position

  return (bytes) => {
    window = Buffer.concat([window, bytes])
    const { text, offset } = decode(window)
    // The first character of a cut window only tells `^` and `\b` that something was there.
    search.lastIndex = windowStart === position ? 0 : 1
    const match = search.exec(text)
    if (match !== null) {
      const start = windowStart + offset(match.index)
      return {
        index,
        start,
        end: windowStart + offset(match.index + match[0].length),
        groups: [match[0], ...match.slice(1)]
      }
    }
    const cut = characterStart(window, window.length - windowBytes - 1)
    window = window.subarray(cut)
    windowStart += cut
    return undefined
  }
}

/** Bytes as text, and the byte offset of a place in it. What is not UTF-8 is read as Latin-1. */
const decode = (bytes: Uint8Array): { text: string; offset: (index: number) => number } => {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - unfinished(bytes))
  if (!isUtf8(whole)) return { text: whole.toString("latin1"), offset: (index) => index }
  const text = whole.toString("utf8")
  return { text, offset: (index) => Buffer.byteLength(text.slice(0, index)) }
}

/** The number of bytes at the end that begin a character whose rest is still to come. */
const unfinished = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0
    if (byte < 0x80) return 0
  }
  return 0
}

/** The first place from `offset` on that is not in the middle of a character. */
const characterStart = (bytes: Uint8Array, offset: number): number => {
  let start = Math.max(0, offset)
  while (start < bytes.length && start < offset + 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++
  return start
}
