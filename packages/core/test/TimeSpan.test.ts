import { describe, expect, test } from "bun:test"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as fc from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { TimeSpan } from "../src/TimeSpan.ts"

describe("TimeSpan", () => {
  test.each([
    ["30 seconds", 30_000],
    ["1 minute", 60_000],
    ["1.5 hours", 5_400_000],
    ["2 days", 172_800_000],
    [250, 250],
    [0, 0]
  ])("%p lasts %p ms", (span, millis) => {
    expect(Duration.toMillis(Schema.decodeUnknownSync(TimeSpan)(span))).toBe(millis)
  })

  test.each([
    ["30"],
    ["30s"],
    ["seconds"],
    ["-1 seconds"],
    ["1e3 seconds"],
    [" 1 day"],
    [-1],
    [Number.NaN],
    [Infinity]
  ])("%p is refused", (span) => {
    expect(Schema.is(TimeSpan)(span)).toBe(false)
  })

  test("all that it takes is a duration, and JSON", () => {
    fc.assert(
      fc.property(Arbitrary.make(TimeSpan), (span) => {
        expect(Duration.toMillis(span)).toBeGreaterThanOrEqual(0)
        expect(JSON.parse(JSON.stringify(span))).toBe(Object.is(span, -0) ? 0 : span)
      })
    )
  })
})
