import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import * as TinyKernel from "@capsa/guest/TinyKernel"

const fragment = "# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=64\n"

test("a configuration that has every line as written passes", () => {
  expect(TinyKernel.notApplied(fragment, "\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=64\nCONFIG_D=y\n")).toEqual([])
})

test("an option that does not exist counts as not set", () => {
  expect(TinyKernel.notApplied(fragment, "\nCONFIG_A=y\nCONFIG_C=64\n")).toEqual([])
})

test("options that are missing, on, or other than written are named", () => {
  expect(TinyKernel.notApplied(fragment, "\nCONFIG_B=y\nCONFIG_C=32\n")).toEqual([
    "CONFIG_A=y",
    "# CONFIG_B is not set",
    "CONFIG_C=64"
  ])
})

test("the fragment names each option once", () => {
  const options = [...readFileSync(TinyKernel.fragmentFile("x86_64"), "utf8").matchAll(/^(?:# )?(CONFIG_\w+)[= ]/gm)]
  const names = options.map((match) => match[1])
  expect(names.length).toBeGreaterThan(50)
  expect(new Set(names).size).toBe(names.length)
})
