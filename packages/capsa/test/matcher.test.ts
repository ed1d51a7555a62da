import { describe, expect, test } from "bun:test"
import * as Matcher from "../src/internal/matcher.ts"
import { judge, matchIn as run } from "./fixtures/matcherCases.ts"
import { freshSeed, random } from "./fixtures/random.ts"

const seed = freshSeed()

describe("Matcher", () => {
  test(`agrees with a naive search in 200000 random cases (seed ${seed})`, () => {
    expect(judge(random(seed), 200_000)).toBeGreaterThan(100_000)
  }, 120_000)

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

  test("bytes that are no text change nothing around them", () => {
    const bytes = Buffer.from([0xc3, 0xc3, 0xa9, 0xff, 0x80, 0xf0, 0x9f, 0x98, 0x80, 0x2e])
    expect(run([/é../], [bytes], 10)).toMatchObject({ start: 11, end: 15, groups: ["é\ufffd\ufffd"] })
    expect(run([/é(.*)\./u], [bytes], 10)).toMatchObject({
      start: 11,
      end: 20,
      groups: ["é\ufffd\ufffd😀.", "\ufffd\ufffd😀"]
    })
    expect(run([/(?<!.)é/], [bytes])).toBeUndefined()
  })

  test("^ means the beginning, not where the window was cut", () => {
    const flood = Buffer.alloc(Matcher.windowBytesDefault * 3, "a")
    expect(run([/^a/], [Buffer.from("b"), flood, flood, Buffer.from("a")])).toBeUndefined()
    expect(run([/\bab/], [Buffer.from("b"), flood, flood, Buffer.from("b")])).toBeUndefined()
    const wide = Buffer.from("😀".repeat(Matcher.windowBytesDefault))
    expect(run([/^😀/u], [Buffer.from("b"), wide, wide])).toBeUndefined()
  })

  test("a RegExp sees as much as its window says, and not much more", () => {
    for (const [gap, isSeen] of [
      [100, true],
      [120, false]
    ] as const) {
      const matcher = Matcher.make([/<-*>/], 0, 110)
      matcher.feed(Buffer.from(`<${"-".repeat(gap)}`))
      expect(matcher.feed(Buffer.from(">")) !== undefined, `${gap}`).toBe(isSeen)
    }
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
