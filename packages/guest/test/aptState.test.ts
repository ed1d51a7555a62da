import { expect, test } from "bun:test"
import { asSource } from "../src/internal/aptState.ts"

test("sources of packages become sources of source code", () => {
  expect(asSource[".list"]?.("# deb\ndeb [signed-by=/k] http://a/debian stable main\ndeb-src http://b/ x y\n")).toBe(
    "# deb\ndeb-src [signed-by=/k] http://a/debian stable main\ndeb-src http://b/ x y\n"
  )
  expect(asSource[".sources"]?.("Types: deb\nURIs: http://a\n\nTypes: deb deb-src\nSuites: x\n")).toBe(
    "Types: deb-src\nURIs: http://a\n\nTypes: deb-src\nSuites: x\n"
  )
})
