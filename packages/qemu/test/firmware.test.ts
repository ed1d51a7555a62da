/** Which firmware is found, by what packages say of it. */
import { expect } from "bun:test"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { live } from "@capsa/testing"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { find, named } from "../src/internal/firmware.ts"

interface Described {
  readonly code?: string
  readonly format?: string
  readonly device?: string
  readonly mode?: string
  readonly interfaces?: ReadonlyArray<string>
  readonly architecture?: string
  readonly machine?: string
  readonly features?: ReadonlyArray<string>
}

const onHost = Effect.provide(BunFileSystem.layer)

/** A folder with two more for descriptors, of which the first goes before, and with flash images. */
const host = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const root = yield* fs.makeTempDirectoryScoped()
  const at = (name: string) => join(root, name)
  for (const name of ["etc", "usr"]) mkdirSync(at(name))
  for (const name of ["code", "other", "vars"]) writeFileSync(at(name), name)
  const describe = (folder: string, name: string, said: Described = {}) =>
    writeFileSync(
      join(at(folder), name),
      JSON.stringify({
        "interface-types": said.interfaces ?? ["uefi"],
        mapping: {
          device: said.device ?? "flash",
          ...(said.mode === undefined ? {} : { mode: said.mode }),
          executable: { filename: at(said.code ?? "code"), format: said.format ?? "raw" },
          "nvram-template": { filename: at("vars"), format: "raw" }
        },
        targets: [{ architecture: said.architecture ?? "x86_64", machines: [said.machine ?? "pc-q35-*"] }],
        features: said.features ?? ["acpi-s3", "verbose-dynamic"],
        tags: []
      })
    )
  const pair = (code: string) => ({ code: at(code), variables: at("vars") })
  const found = (...pairs: ReadonlyArray<ReturnType<typeof pair>>) =>
    find({ folders: [at("etc"), at("nowhere"), at("usr")], pairs })
  return { at, describe, found, pair }
})

live("the first by name that fits is taken, before what no package describes", () =>
  Effect.gen(function* () {
    const { describe, found, pair } = yield* host
    describe("usr", "60-plain.json")
    describe("usr", "70-other.json", { code: "other" })
    expect(yield* found(pair("other"))).toEqual(Either.right(pair("code")))
  }).pipe(onHost)
)

for (const [how, said] of [
  ["wants SMM", { features: ["requires-smm"] }],
  ["enforces Secure Boot", { features: ["secure-boot"] }],
  ["has keys", { features: ["enrolled-keys"] }],
  ["is no flash", { device: "memory" }],
  ["keeps all in one file", { mode: "combined" }],
  ["is qcow2", { format: "qcow2" }],
  ["is a BIOS", { interfaces: ["bios"] }],
  ["is for another processor", { architecture: "aarch64" }],
  ["is for another machine", { machine: "microvm" }],
  ["is not there", { code: "nothing" }]
] as const) {
  live(`one that ${how} is passed over`, () =>
    Effect.gen(function* () {
      const { describe, found, pair } = yield* host
      describe("usr", "10-unfit.json", said)
      describe("usr", "60-plain.json", { code: "other" })
      expect(yield* found()).toEqual(Either.right(pair("other")))
    }).pipe(onHost)
  )
}

live("an administrator's descriptor replaces a package's, and an empty one takes it back", () =>
  Effect.gen(function* () {
    const { at, describe, found, pair } = yield* host
    describe("usr", "60-plain.json")
    describe("etc", "60-plain.json", { code: "other" })
    expect(yield* found()).toEqual(Either.right(pair("other")))
    writeFileSync(at("etc/60-plain.json"), "")
    expect(Either.isLeft(yield* found())).toBe(true)
  }).pipe(onHost)
)

live("without descriptors, what is in a known place is taken; without both, the packages are named", () =>
  Effect.gen(function* () {
    const { found, pair } = yield* host
    expect(yield* found(pair("nothing"), pair("other"))).toEqual(Either.right(pair("other")))
    expect(yield* found()).toMatchObject({ left: { hint: expect.stringContaining("apt install ovmf") } })
  }).pipe(onHost)
)

live("what is named is taken, or named as missing", () =>
  Effect.gen(function* () {
    const { pair } = yield* host
    expect(yield* named(pair("other"))).toEqual(Either.right(pair("other")))
    expect(yield* named(pair("nothing"))).toMatchObject({ left: { reason: expect.stringContaining("nothing") } })
  }).pipe(onHost)
)
