/** Checks that run other programs, against small trees with one fault each. */
import { expect, test } from "bun:test"
import { findingsOf } from "../../src/check/Check.ts"
import { lint } from "../../src/check/lint.ts"
import { compile, tidy } from "../../src/check/native.ts"
import { types } from "../../src/check/types.ts"
import { arm64Missing } from "../../src/Native.ts"
import { borrow, borrowPackages, treeWith } from "../fixtures/folder.ts"

test("a tool that fails without a finding that we can read is shown as it is", () => {
  expect(findingsOf("tool", { exitCode: 2, output: "no room\n" }, /^(?<where>x)(?<what>y)$/gm)).toEqual([
    { where: "tool", what: "failed (2)\nno room" }
  ])
  expect(findingsOf("tool", { exitCode: 0, output: "a warning" }, /^(?<where>x)(?<what>y)$/gm)).toEqual([])
})

test("types finds a type error, and its line", async () => {
  await using tree = await treeWith({
    "packages/core/src/x.ts": 'export const fine = 1\nexport const x: number = "no"\n'
  })
  await borrow(tree, "tsconfig.json")
  await borrowPackages(tree)
  const found = await types.run(tree)
  expect(found.map(({ where }) => where)).toEqual(["packages/core/src/x.ts:2"])
  expect(found[0]?.what).toContain("TS2322")
})

test("lint finds warnings, errors and formatting, and their lines", async () => {
  await using tree = await treeWith({ "x.ts": "export const a = 1\nconsole.log(a)\n", "y.ts": "export const a=1\n" })
  await borrow(tree, "biome.json")
  await borrowPackages(tree)
  const found = (await lint.run(tree)).map(({ what, where }) => `${where} ${what.split(":")[0]}`)
  expect(found).toEqual(["x.ts:2 lint/suspicious/noConsole", "y.ts:1 format"])
})

const good = "int good(void);\nint good(void)\n{\n\treturn 0;\n}\n"

test("C is compiled with warnings as errors, by both compilers and that for arm64, tests too", async () => {
  const lossy = "char f(long x);\nchar f(long x)\n{\n\treturn x;\n}\n"
  await using tree = await treeWith({ "native/src/bad.c": lossy, "native/include/x.h": "", "native/test/t.c": good })
  await borrow(tree, "native/Makefile")
  const found = await compile.run(tree)
  const compilers = arm64Missing() === undefined ? 3 : 2
  expect(found.map(({ where }) => where)).toEqual(Array(compilers).fill("native/src/bad.c:4"))
})

test("C that compiles has no findings", async () => {
  const program = "int main(void)\n{\n\treturn 0;\n}\n"
  await using tree = await treeWith({ "native/src/good.c": good, "native/include/x.h": "", "native/test/t.c": program })
  await borrow(tree, "native/Makefile")
  expect(await compile.run(tree)).toEqual([])
})

test("C is formatted and linted", async () => {
  await using tree = await treeWith({
    "native/src/bad.c": "int f(void) { return 0; }\n",
    "native/include/x.h": "",
    "native/test/t.c": ""
  })
  await borrow(tree, "native/Makefile", "native/.clang-tidy", ".clang-format")
  expect((await tidy.run(tree))[0]?.where).toBe("native/src/bad.c:1")

  const careless = "int f(int a);\nint f(int a)\n{\n\tint zero = 0;\n\n\treturn a / zero;\n}\n"
  await Bun.write(`${tree.root}/native/src/bad.c`, careless)
  expect((await tidy.run(tree))[0]?.what).toContain("clang-analyzer-core.DivideZero")
})
