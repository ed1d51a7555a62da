import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as KernelModules from "@capsa/guest/KernelModules"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"

const folder = mkdtempSync(`${tmpdir()}/capsa-modules.`)

const moduleFile = (...depends: Array<string>) => `\x7fELF\0license=GPL\0depends=${depends.join(",")}\0name=x\0`

beforeAll(() => {
  mkdirSync(`${folder}/kernel/drivers`, { recursive: true })
  const put = (path: string, content: string | Uint8Array) => writeFileSync(`${folder}/kernel/${path}`, content)
  put("drivers/top-level.ko", moduleFile("middle", "left_side"))
  put("drivers/middle.ko", moduleFile("bottom"))
  put("left-side.ko.gz", Bun.gzipSync(moduleFile("bottom")))
  put("bottom.ko.xz", Bun.spawnSync(["xz", "--stdout"], { stdin: new TextEncoder().encode(moduleFile()) }).stdout)
  put("unrelated.ko", moduleFile())
})

afterAll(() => rmSync(folder, { recursive: true }))

const closure = (...names: Array<string>) =>
  Effect.runPromise(Effect.provide(KernelModules.closure(folder, names), BunContext.layer))

test("each module comes once, after its dependencies", async () => {
  const modules = await closure("top_level", "bottom")
  const names = modules.map((module) => module.name)
  expect(names.toSorted()).toEqual(["bottom", "left_side", "middle", "top_level"])
  for (const [index, module] of modules.entries()) {
    for (const depend of module.depends) expect(names.slice(0, index)).toContain(depend)
  }
})

test("compressed modules come unpacked", async () => {
  for (const module of await closure("left_side")) {
    expect(Buffer.from(module.content).toString("latin1")).toStartWith("\x7fELF")
  }
})

test("a name without a module is left out", async () => {
  expect(await closure("built_in")).toEqual([])
})

test("an unreadable folder is BuildFailed", async () => {
  const error = await Effect.runPromise(
    Effect.flip(Effect.provide(KernelModules.closure(`${folder}/nosuch`, []), BunContext.layer))
  )
  expect(error).toMatchObject({ _tag: "GuestError", reason: "BuildFailed" })
})
