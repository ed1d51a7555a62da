import { describe, expect, test } from "bun:test"
import { duration, render } from "@capsa/cli/Timing"

const plain = { colours: false }

describe("duration", () => {
  const cases: ReadonlyArray<readonly [ms: number, text: string]> = [
    [0, "0.0 ms"],
    [0.44, "0.4 ms"],
    [9.94, "9.9 ms"],
    [9.96, "10 ms"],
    [999.4, "999 ms"],
    [999.6, "1.00 s"],
    [61_234, "61.23 s"]
  ]
  for (const [ms, text] of cases) test(`${ms} ms is ${text}`, () => expect(duration(ms)).toBe(text))
})

describe("bars", () => {
  test("each begins where the one before ended, and the last ends at the full width", () => {
    const lines = render(
      [
        { name: "created", atMs: 100 },
        { name: "loaded", atMs: 200 },
        { name: "init", atMs: 400 }
      ],
      plain
    ).split("\n")
    expect(lines).toEqual([
      `machine created       100 ms ${"━".repeat(10)}`,
      `kernel loaded         200 ms ${"·".repeat(10)}${"━".repeat(10)}`,
      `init runs             400 ms ${"·".repeat(20)}${"━".repeat(20)}`,
      ""
    ])
  })

  test("a stage too short for a bar still shows where it was", () => {
    const text = render(
      [
        { name: "created", atMs: 1000 },
        { name: "loaded", atMs: 1001 }
      ],
      plain
    )
    expect(text.split("\n")[1]).toBe(`kernel loaded         1.00 s ${"·".repeat(40)}╸`)
  })

  test("no stage, no text", () => expect(render([], plain)).toBe(""))

  test("time that stands still draws no bar", () => {
    expect(render([{ name: "created", atMs: 0 }], plain)).toBe("machine created       0.0 ms ╸\n")
  })

  test("colours only where they are welcome", () => {
    const stages = [{ name: "created", atMs: 5 }] as const
    expect(render(stages, { colours: true })).toContain("\u001b[")
    expect(Bun.stripANSI(render(stages, { colours: true }))).toBe(render(stages, plain))
  })
})
