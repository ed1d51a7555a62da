import { describe, expect, test } from "bun:test"
import { parseDisk, parseShare } from "../src/options.ts"

describe("--disk", () => {
  test.each([
    ["root.img", { path: "root.img" }],
    ["a:b.img:ro", { path: "a:b.img", readOnly: true }],
    ["base.img:ephemeral", { path: "base.img", ephemeral: true }],
    ["base.img:ro:ephemeral", { path: "base.img", readOnly: true, ephemeral: true }],
    ["x:rw", { path: "x:rw" }],
    [":ro", { path: ":ro" }]
  ])("%s", (text, disk) => {
    expect(parseDisk(text)).toEqual(disk)
  })
})

describe("--share", () => {
  test.each([
    ["src:/src", { host: "src", guest: "/src" }],
    ["/a b:/c d:rw", { host: "/a b", guest: "/c d", mode: "rw" }],
    ["./out:/out:ro", { host: "./out", guest: "/out", mode: "ro" }]
  ])("%s", (text, share) => {
    expect(parseShare(text)).toEqual(share as typeof share & { mode?: "ro" | "rw" })
  })
})
