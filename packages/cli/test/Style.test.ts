import { expect, test } from "bun:test"
import * as Style from "@capsa/cli/Style"
import * as fc from "fast-check"

const word = fc.stringMatching(/^[a-z─✓]{1,12}$/)
const text = fc.array(word, { minLength: 1, maxLength: 30 }).map((words) => words.join(" "))

test("wrapping keeps the words and their order, and the width where words allow it", () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 20, max: 60 }), fc.integer({ min: 0, max: 8 }), (text, width, indent) => {
      const wrapped = Style.wrap(text, width, indent)
      expect(wrapped.split(/\s+/).join(" ")).toBe(text)
      const [first = "", ...others] = wrapped.split("\n")
      expect(Bun.stringWidth(first)).toBeLessThanOrEqual(width - indent)
      for (const line of others) {
        expect(line).toStartWith(" ".repeat(indent))
        expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width)
      }
    })
  )
})

test("a word longer than the width stands alone", () => {
  expect(Style.wrap("a loooooong b", 6, 2)).toBe("a\n  loooooong\n  b")
})

test("colours have no width", () => {
  const { strong } = Style.of({ colours: true })
  expect(Style.wrap(`${strong("ab")} cd`, 5, 0)).toBe(`${strong("ab")} cd`)
})
