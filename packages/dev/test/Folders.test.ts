import { expect, test } from "bun:test"
import { cache, root } from "../src/Folders.ts"

test("the root is where the workspace's package.json is", async () => {
  expect((await Bun.file(`${root}/package.json`).json()).name).toBe("capsa-workspace")
})

test("the cache is where the environment says, the most specific word first", () => {
  expect(cache({ CAPSA_CACHE_DIR: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" })).toBe("/a")
  expect(cache({ XDG_CACHE_HOME: "/b", HOME: "/c" })).toBe("/b/capsa")
  expect(cache({ HOME: "/c" })).toBe("/c/.cache/capsa")
})
