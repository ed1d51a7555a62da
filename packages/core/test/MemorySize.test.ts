import { describe, expect, test } from "bun:test"
import * as fc from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { format, MemorySize, toMib } from "../src/MemorySize.ts"

describe("MemorySize", () => {
  test.each([
    ["512MiB", 512],
    ["2GiB", 2048],
    ["1TiB", 1048576],
    [256, 256]
  ])("%p is %p MiB", (size, mib) => {
    expect(toMib(Schema.decodeUnknownSync(MemorySize)(size))).toBe(mib)
  })

  test.each([["512MB"], ["512"], ["MiB"], ["1.5GiB"], ["-1GiB"], [" 1GiB"], [1.5], [null], [{}]])(
    "%p is refused",
    (size) => {
      expect(Schema.is(MemorySize)(size)).toBe(false)
    }
  )

  test("what format writes is read as the same", () => {
    fc.assert(fc.property(fc.nat(1 << 28), (mib) => expect(toMib(format(mib))).toBe(mib)))
  })
})
