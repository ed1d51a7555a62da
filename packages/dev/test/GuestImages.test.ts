import { expect, test } from "bun:test"
import { join } from "node:path"
import { isCurrent, pathsIn } from "../src/GuestImages.ts"
import { folderWith } from "./fixtures/folder.ts"

test("images are current while they are there and their builder is the same", async () => {
  await using folder = await folderWith({ kernel: "" })
  const built = { inputs: "a", files: [join(folder.path, "kernel")] }
  expect(isCurrent(built, "a")).toBe(true)
  expect(isCurrent(built, "b")).toBe(false)
  expect(isCurrent({ ...built, files: [...built.files, join(folder.path, "initrd")] }, "a")).toBe(false)
  expect(isCurrent({ inputs: "a", files: [] }, "a")).toBe(false)
  expect(isCurrent(undefined, "a")).toBe(false)
})

test("the files are the absolute paths in the builder's answer", () => {
  expect(pathsIn({ debian: { kernel: "/a", kernelRelease: "6.1" }, tiny: { kernel: "/b", size: 1 } })).toEqual([
    "/a",
    "/b"
  ])
})
