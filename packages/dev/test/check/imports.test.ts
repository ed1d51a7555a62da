import { describe, expect, test } from "bun:test"
import { circleIn, floors, imports, importsIn, problemWith } from "../../src/check/imports.ts"
import { treeWith } from "../fixtures/folder.ts"

const core = { folder: "packages/core", name: "@capsa/core" }
const cli = { folder: "packages/cli", name: "@capsa/cli" }

test("the floors themselves have no circle", () => {
  expect(circleIn(new Map(Object.entries(floors)))).toBeUndefined()
})

test("imports are found in each form, over lines, and not in comments or texts", () => {
  const text = [
    'import * as A from "a"',
    "import {",
    "  b,",
    "  type B",
    '} from "./b.ts"',
    'export * from "c"',
    'import "d"',
    'const e = await import("e")',
    '// like import x from "f"',
    'const g = `from "g"`',
    'import type { H } from "h"'
  ].join("\n")
  expect(importsIn(text)).toEqual([
    { path: "a", line: 1 },
    { path: "./b.ts", line: 5 },
    { path: "c", line: 6 },
    { path: "d", line: 7 },
    { path: "e", line: 8 },
    { path: "h", line: 11 }
  ])
})

describe("an import", () => {
  const file = "packages/core/src/internal/x.ts"

  test("may stay in its package, go down, or go outside the workspace", () => {
    const allowed = ["../Vm.ts", "./y.ts", "@capsa/core/VmConfig", "effect/Effect", "bun:test", "node:fs"]
    expect(allowed.map((path) => problemWith(core, file, path))).toEqual(allowed.map(() => undefined))
    expect(problemWith(cli, "packages/cli/src/main.ts", "capsa/Vm")).toBeUndefined()
  })

  test("may not go up or sideways, but a test may", () => {
    expect(problemWith(core, file, "capsa")).toStartWith("@capsa/core may not import capsa")
    expect(problemWith(core, "packages/core/test/x.test.ts", "@capsa/testing")).toBeUndefined()
  })

  test("may not reach what another package keeps to itself", () => {
    expect(problemWith(cli, "packages/cli/src/a.ts", "capsa/internal/ring")).toContain("private")
    expect(problemWith(cli, "packages/cli/test/a.test.ts", "capsa/src/Vm.ts")).toContain("private")
    expect(problemWith(core, file, "../../../cli/src/a.ts")).toContain("reaches into another package")
    expect(problemWith(core, file, "../../../core-extra/a.ts")).toContain("reaches into another package")
  })

  test("may reach it to measure it", () => {
    const benchmarks = { folder: "benchmarks", name: "@capsa/benchmarks" }
    expect(problemWith(benchmarks, "benchmarks/src/a.ts", "../../packages/core/src/b.ts")).toBeUndefined()
  })

  test("of bun:ffi belongs to one package", () => {
    expect(problemWith(core, file, "bun:ffi")).toBe("only packages/native may use bun:ffi")
    expect(problemWith({ folder: "packages/native", name: "@capsa/native" }, file, "bun:ffi")).toBeUndefined()
  })

  test("may not load all of Effect", () => {
    expect(problemWith(core, file, "effect")).toContain("effect/…")
    expect(problemWith(core, file, "@effect/platform")).toContain("@effect/platform/…")
  })
})

test("a circle is shown whole, and its way in is not part of it", () => {
  const graph = { main: ["a"], a: ["b", "c"], b: [], c: ["d"], d: ["a"] }
  expect(circleIn(new Map(Object.entries(graph)))).toEqual(["a", "c", "d", "a"])
  expect(circleIn(new Map(Object.entries({ a: ["b", "c"], b: ["d"], c: ["d"], d: [] })))).toBeUndefined()
})

test("the check reads a tree; importing only a type closes no circle", async () => {
  const manifest = (name: string) => JSON.stringify({ name })
  const upward = ["import * as Vm from", '"capsa"'].join(" ")
  const value = (path: string) => [`export { x } from`, `"${path}"`].join(" ")
  const onlyType = (path: string) => [`import type { X } from`, `"${path}"`].join(" ")
  await using tree = await treeWith({
    "packages/core/package.json": manifest("@capsa/core"),
    "packages/core/src/a.ts": value("./b.ts"),
    "packages/core/src/b.ts": `${upward}\n${value("./a.ts")}`,
    "packages/core/src/c.ts": value("./d.ts"),
    "packages/core/src/d.ts": onlyType("./c.ts"),
    "packages/new/package.json": manifest("@capsa/new"),
    "stray.ts": ""
  })
  expect((await imports.run(tree)).map(({ what, where }) => `${where} ${what}`)).toEqual([
    "packages/new/package.json @capsa/new has no floor in the imports check",
    "packages/core/src/b.ts:1 @capsa/core may not import capsa: see the floors in docs/ARCHITECTURE.md",
    "stray.ts belongs to no package",
    "packages/core/src/a.ts imports in a circle: packages/core/src/a.ts → packages/core/src/b.ts → packages/core/src/a.ts"
  ])
})
