/** qcow2 images with real guests, and raw images on which a guest writes what looks like one. */
import { describe, expect } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Backend, DiskConfig } from "@capsa/core"
import { live } from "@capsa/testing"
import { qcow2 } from "@capsa/testing/qcow2"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Vm from "../src/Vm.ts"
import { backend, quick } from "./fixtures/realBackend.ts"

const mib = 1024 * 1024
const prompt = "capsa# "
const timeout = "2 minutes"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-qcow2-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const test = (name: string, body: (folder: string) => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
  live(name, () => Effect.provide(Effect.flatMap(folder, body), backend), 300_000)

/** What commands print in a guest with this disk. */
const inGuest = (disk: DiskConfig, ...commands: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({ boot: quick, memory: "128MiB", disks: [disk] })
      yield* console.expect(prompt, { timeout })
      return yield* Effect.forEach(commands, (command) =>
        Effect.map(console.run(command, { prompt, timeout }), ({ exitCode, output }) => {
          expect({ command, output, exitCode }).toMatchObject({ exitCode: 0 })
          return output.trim()
        })
      )
    })
  )

const write = (text: string, sector: number) => `printf ${text} | dd of=/dev/vda bs=512 seek=${sector} conv=fsync`
const read = (sector: number) => `dd if=/dev/vda bs=512 skip=${sector} count=1 2>/dev/null | head -c 5`

const hashOf = (path: string) => new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")

/** Fails with the problem that a launch is refused for. */
const problemOf = (disk: DiskConfig) =>
  Vm.launch({ boot: quick, disks: [disk] }).pipe(
    Effect.scoped,
    Effect.flip,
    Effect.map((error) => (error._tag === "VmConfigError" ? error.problems[0] : error))
  )

describe("qcow2 images", () => {
  test("a chain that the host names: each shows what is below, and only the top is written", (folder) =>
    Effect.gen(function* () {
      const at = (name: string) => join(folder, name)
      const base = Buffer.alloc(mib)
      base.write("base0", 0)
      writeFileSync(at("base"), base)
      // The names in the headers lead nowhere: they are not followed.
      writeFileSync(at("middle"), qcow2({ size: mib, backing: { name: "/nowhere", format: "raw" } }))
      writeFileSync(at("top"), qcow2({ size: mib, backing: { name: "/nowhere", format: "qcow2" } }))
      const middle = { path: at("middle"), format: "qcow2", backing: [{ path: at("base") }] } as const
      yield* inGuest(middle, write("midd1", 8))
      const hashes = [hashOf(at("base")), hashOf(at("middle"))]
      const top: DiskConfig = {
        path: at("top"),
        format: "qcow2",
        backing: [{ path: at("middle"), format: "qcow2" }, { path: at("base") }]
      }
      const seen = yield* inGuest(top, read(0), read(8), write("topp2", 16), "cat /sys/block/vda/size")
      expect([seen[0], seen[1], seen[3]]).toEqual(["base0", "midd1", String(mib / 512)])
      expect(yield* inGuest(top, read(0), read(8), read(16))).toEqual(["base0", "midd1", "topp2"])
      const before = hashOf(at("top"))
      yield* inGuest({ ...top, ephemeral: true }, write("gone3", 24))
      expect([hashOf(at("base")), hashOf(at("middle")), hashOf(at("top"))]).toEqual([...hashes, before])
    }))

  test("what leads to files that the host does not name is refused", (folder) =>
    Effect.gen(function* () {
      const path = join(folder, "image")
      writeFileSync(path, qcow2({ size: mib, backing: { name: "/etc/shadow", format: "raw" } }))
      expect(yield* problemOf({ path, format: "qcow2" })).toMatchObject({
        path: "disks.0.path",
        detail: expect.stringContaining("builds on another image"),
        hint: expect.stringContaining("`backing`")
      })
      writeFileSync(path, qcow2({ size: mib, dataFile: true }))
      expect(yield* problemOf({ path, format: "qcow2" })).toMatchObject({
        path: "disks.0.path",
        detail: expect.stringContaining("content in another file")
      })
    }))

  test("a raw disk on which the guest writes the header of one stays raw", (folder) =>
    Effect.gen(function* () {
      const path = join(folder, "raw")
      writeFileSync(path, Buffer.alloc(mib))
      const header = qcow2({ size: 64 * mib, backing: { name: "/etc/shadow", format: "raw" } }).subarray(0, 512)
      const typed = [...header].map((byte) => `\\\\${byte.toString(8).padStart(3, "0")}`).join("")
      yield* inGuest({ path }, `printf '${typed.replaceAll("\\\\", "\\")}' | dd of=/dev/vda bs=512 conv=fsync`)
      expect(Buffer.compare(readFileSync(path).subarray(0, 512), header)).toBe(0)
      const [size, magic] = yield* inGuest({ path }, "cat /sys/block/vda/size", "head -c 3 /dev/vda")
      expect([size, magic]).toEqual([String(mib / 512), "QFI"])
    }))
})
