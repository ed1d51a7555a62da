/**
 * Finds the first of several patterns in a stream of bytes that comes in pieces of any size. Pure; each byte is looked at
 * once for all strings together, and within a bounded window for each RegExp.
 */
import * as RegExpSearch from "./regExpSearch.ts"
import * as StringSearch from "./stringSearch.ts"

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

/** Takes the next bytes and tells the first match. After a match it is used up. */
export type Feed = (bytes: Uint8Array) => Match | undefined

export interface Matcher {
  /**
   * Takes the next bytes and tells the match that ends first, for equal ends that of the pattern named first. A string
   * matches as soon as its last byte is there; a RegExp is tried on what is there at the end of each piece.
   * After a match the matcher is used up.
   */
  readonly feed: Feed
}

/** How far back from the newest piece a RegExp sees, unless told otherwise. A longer match need not be found. */
export const windowBytesDefault = 8192

export const make = (
  patterns: ReadonlyArray<Pattern>,
  position: number,
  windowBytes: number = windowBytesDefault
): Matcher => {
  const feeds: ReadonlyArray<Feed> = [
    ...(patterns.some((pattern) => typeof pattern === "string") ? [StringSearch.make(patterns, position)] : []),
    ...patterns.flatMap((pattern, index) =>
      typeof pattern === "string" ? [] : [RegExpSearch.make(pattern, index, position, windowBytes)]
    )
  ]
  return {
    feed: (bytes) => {
      let first: Match | undefined
      for (const feed of feeds) {
        const match = feed(bytes)
        if (match !== undefined && (first === undefined || isBefore(match, first))) first = match
      }
      return first
    }
  }
}

const isBefore = (a: Match, b: Match): boolean => a.end < b.end || (a.end === b.end && a.index < b.index)
