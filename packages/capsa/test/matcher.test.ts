import { describe, expect, test } from "bun:test"
import * as fc from "effect/FastCheck"
import * as Matcher from "../src/internal/matcher.ts"

/** Cuts at the given places, in any order and out of range too. */
const pieces = (bytes: Uint8Array, cuts: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place))
}

const run = (patterns: ReadonlyArray<Matcher.Pattern>, chunks: ReadonlyArray<Uint8Array>, position = 0) => {
  const matcher = Matcher.make(patterns, position)
  for (const chunk of chunks) {
    const match = matcher.feed(chunk)
    if (match !== undefined) return match
  }
  return undefined
}

/** Each prefix, each pattern, each end: what "first" means, spelled out. */
const naiveStrings = (patterns: ReadonlyArray<string>, bytes: Uint8Array): Matcher.Match | undefined => {
  for (let end = 0; end <= bytes.length; end++) {
    for (const [index, pattern] of patterns.entries()) {
      const length = Buffer.byteLength(pattern)
      if (end >= length && Buffer.from(bytes.subarray(end - length, end)).equals(Buffer.from(pattern))) {
        return { index, start: end - length, end, groups: [pattern] }
      }
    }
  }
  return undefined
}

/** Looks at all that has come, after each piece. */
const naiveRegExps = (
  patterns: ReadonlyArray<RegExp>,
  chunks: ReadonlyArray<Uint8Array>
): Matcher.Match | undefined => {
  let text = ""
  for (const chunk of chunks) {
    text += Buffer.from(chunk).toString("latin1")
    const found = patterns
      .map((pattern, index) => ({ index, match: pattern.exec(text) }))
      .flatMap(
        ({ index, match }): ReadonlyArray<Matcher.Match> =>
          match === null
            ? []
            : [{ index, start: match.index, end: match.index + match[0].length, groups: [match[0], ...match.slice(1)] }]
      )
    const first = found.toSorted((a, b) => a.end - b.end || a.index - b.index)[0]
    if (first !== undefined) return first
  }
  return undefined
}

const letters = (maxLength: number) => fc.string({ unit: fc.constantFrom("a", "b", "é", "😀"), maxLength })
const cuts = fc.array(fc.nat(200), { maxLength: 12 })

describe("Matcher", () => {
  test("strings: agrees with the naive search over any chunking", () => {
    fc.assert(
      fc.property(fc.array(letters(4), { maxLength: 5 }), letters(40), cuts, (patterns, text, cuts) => {
        const bytes = Buffer.from(text)
        expect(run(patterns, pieces(bytes, cuts))).toEqual(naiveStrings(patterns, bytes))
      }),
      { numRuns: 20_000 }
    )
  })

  test("strings: agrees on bytes that are no text", () => {
    const bytes = fc
      .array(fc.constantFrom(0x61, 0xc3, 0xa9, 0xff, 0x00), { maxLength: 60 })
      .map((all) => new Uint8Array(all))
    fc.assert(
      fc.property(bytes, cuts, (bytes, cuts) => {
        expect(run(["aé", "éa"], pieces(bytes, cuts))).toEqual(naiveStrings(["aé", "éa"], bytes))
      }),
      { numRuns: 5000 }
    )
  })

  test("RegExps: agrees with searching all that has come after each piece", () => {
    const patterns = fc.shuffledSubarray([/ab+a/, /^b/m, /(a)|(bb)$/, /b{3}/, /\bab/g, /a.b/y, /B A/i])
    const ascii = fc.string({ unit: fc.constantFrom("a", "b", " ", "\n"), maxLength: 40 })
    fc.assert(
      fc.property(patterns, ascii, cuts, (patterns, text, cuts) => {
        const chunks = pieces(Buffer.from(text), cuts)
        const plain = patterns.map(({ source, flags }) => new RegExp(source, flags.replace(/[gy]/, "")))
        expect(run(patterns, chunks)).toEqual(naiveRegExps(plain, chunks))
      }),
      { numRuns: 10_000 }
    )
  })

  test("positions count bytes of the stream, also behind wide characters", () => {
    const text = "é😀 login: "
    expect(run([/login: $/], [Buffer.from(text)], 100)).toMatchObject({ start: 107, end: 114, groups: ["login: "] })
    expect(run(["login: "], [Buffer.from(text)], 100)).toMatchObject({ start: 107, end: 114, groups: ["login: "] })
  })

  test("a RegExp sees a character whose bytes come one by one", () => {
    const chunks = [...Buffer.from("x😀y")].map((byte) => new Uint8Array([byte]))
    expect(run([/x(.)y/u], chunks)).toMatchObject({ start: 0, end: 6, groups: ["x😀y", "😀"] })
  })

  test("a RegExp works across bytes that are no text", () => {
    const chunks = [new Uint8Array([0xff, 0xfe]), Buffer.from("ready "), new Uint8Array([0xc3]), Buffer.from("> ")]
    expect(run([/> $/], chunks)).toMatchObject({ start: 9, end: 11 })
  })

  test("^ means the beginning, not where the window was cut", () => {
    const flood = Buffer.alloc(Matcher.windowBytesDefault * 3, "a")
    expect(run([/^a/], [Buffer.from("b"), flood, flood, Buffer.from("a")])).toBeUndefined()
    expect(run([/\bab/], [Buffer.from("b"), flood, flood, Buffer.from("b")])).toBeUndefined()
  })

  test("a RegExp finds a match that spans pieces within its window", () => {
    const flood = Buffer.alloc(1000, "-")
    const chunks = [
      ...Array.from({ length: 50 }, () => flood),
      Buffer.from("begin"),
      ...Array.from({ length: 7 }, () => flood)
    ]
    expect(run([/begin-+end/], [...chunks, Buffer.from("end")])).toMatchObject({ start: 50_000, end: 57_008 })
  })

  test("the earliest end wins, then the order of the list", () => {
    const bytes = Buffer.from("xabcd")
    expect(run(["abcd", "bc"], [bytes])).toMatchObject({ index: 1, start: 2, end: 4 })
    expect(run(["bcd", "abcd"], [bytes])).toMatchObject({ index: 0 })
    expect(run(["abcd", "bcd"], [bytes])).toMatchObject({ index: 0 })
    expect(run([/ab/, "ab"], [bytes])).toMatchObject({ index: 0 })
    expect(run(["ab", /ab/], [bytes])).toMatchObject({ index: 0 })
    expect(run([/abcd/, "abc"], [bytes])).toMatchObject({ index: 1 })
  })

  test("no pattern never matches, the empty one at once", () => {
    expect(run([], [Buffer.from("abc")])).toBeUndefined()
    expect(run(["b", ""], [new Uint8Array(0)], 7)).toMatchObject({ index: 1, start: 7, end: 7 })
  })

  test("hard cases stay linear: 20 MB against patterns that almost match", () => {
    const bytes = Buffer.alloc(20_000_000, "a")
    const before = process.cpuUsage()
    expect(run([`${"a".repeat(500)}b`, `${"a".repeat(900)}c`, "b"], [bytes])).toBeUndefined()
    // A quadratic search would need 10^10 steps.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(20)
  })
})
