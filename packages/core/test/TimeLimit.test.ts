import { describe, expect, test } from "bun:test"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as fc from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { TimeLimit } from "../src/TimeLimit.ts"

describe("TimeLimit", () => {
  test.each([
    ["30 seconds", 30_000],
    ["1 second", 1000],
    ["1.5 hours", 5_400_000],
    ["250 millis", 250],
    [1500, 1500]
  ])("%p is %p ms", (limit, millis) => {
    expect(Duration.toMillis(Schema.decodeUnknownSync(TimeLimit)(limit))).toBe(millis)
  })

  test.each([["30s"], ["30"], ["seconds"], ["-1 second"], ["1e3 seconds"], ["1  second"], [Number.NaN], [null], [{}]])(
    "%p is refused",
    (limit) => {
      expect(Schema.is(TimeLimit)(limit)).toBe(false)
    }
  )

  test("Effect reads every one of them", () => {
    fc.assert(fc.property(Arbitrary.make(TimeLimit), (limit) => Duration.isDuration(Duration.decode(limit))))
  })
})
