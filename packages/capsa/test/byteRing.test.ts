import { describe, expect, test } from "bun:test"
import * as fc from "effect/FastCheck"
import * as ByteRing from "../src/internal/byteRing.ts"

const bytes = (...values: ReadonlyArray<number>) => new Uint8Array(values)

describe("ByteRing", () => {
  test("agrees with keeping everything", () => {
    const action = fc.oneof(
      fc.record({ append: fc.uint8Array({ maxLength: 40 }) }),
      fc.record({ from: fc.nat(200), limit: fc.option(fc.nat(40), { nil: undefined }) })
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.array(action, { maxLength: 30 }), (capacity, actions) => {
        const ring = ByteRing.make(capacity)
        let all: ReadonlyArray<number> = []
        for (const step of actions) {
          if ("append" in step) {
            ring.append(step.append)
            all = [...all, ...step.append]
          } else {
            const start = Math.max(0, all.length - capacity)
            const from = Math.min(Math.max(step.from, start), all.length)
            const expected = all.slice(from, from + (step.limit ?? capacity))
            const reading = ring.read(step.from, step.limit)
            expect([...reading.bytes]).toEqual(expected)
            expect(reading.position).toBe(from + expected.length)
            expect(reading.lost).toBe(Math.max(0, from - step.from))
            const to = from + expected.length
            const part = ring.between(0, to)
            expect([...part.bytes]).toEqual(all.slice(start, to))
            expect(part.lost + part.bytes.length).toBe(to)
          }
          expect(ring.end()).toBe(all.length)
          expect(ring.start()).toBe(Math.max(0, all.length - capacity))
        }
      }),
      { numRuns: 2000 }
    )
  })

  test("agrees with keeping everything while it grows", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(9000), { maxLength: 8 }),
        fc.integer({ min: 4000, max: 20_000 }),
        (sizes, capacity) => {
          const ring = ByteRing.make(capacity)
          const all: Array<number> = []
          for (const size of sizes) {
            const piece = Uint8Array.from({ length: size }, (_, index) => (all.length + index) % 251)
            all.push(...piece)
            ring.append(piece)
            expect(ring.read(0).bytes).toEqual(new Uint8Array(all.slice(-capacity)))
            expect(ring.allocated()).toBeLessThanOrEqual(capacity)
          }
        }
      )
    )
  })

  test("of a part that is forgotten, all is lost and no more", () => {
    const ring = ByteRing.make(4)
    ring.append(bytes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    expect(ring.between(2, 5)).toMatchObject({ bytes: bytes(), lost: 3 })
    expect(ring.between(2, 8)).toMatchObject({ bytes: bytes(6, 7), lost: 4 })
  })

  test("copies what goes in and what comes out", () => {
    const ring = ByteRing.make(8)
    const given = bytes(1, 2, 3)
    ring.append(given)
    given[0] = 9
    const taken = ring.read(0).bytes
    taken[1] = 9
    expect(ring.read(0).bytes).toEqual(bytes(1, 2, 3))
  })

  test("a small stream costs little memory", () => {
    const ring = ByteRing.make(1 << 20)
    ring.append(bytes(1))
    expect(ring.allocated()).toBeLessThanOrEqual(4096)
  })

  test("100 MB leave no more than its size behind", () => {
    const ring = ByteRing.make(1 << 20)
    const piece = new Uint8Array(100_000)
    for (let count = 0; count < 1000; count++) ring.append(piece)
    expect(ring.end()).toBe(100_000_000)
    expect(ring.allocated()).toBe(1 << 20)
  })
})
