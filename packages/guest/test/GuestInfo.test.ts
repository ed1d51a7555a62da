import { expect, test } from "bun:test"
import { readFileSync, statSync } from "node:fs"
import * as GuestImages from "@capsa/guest/GuestImages"
import * as GuestInfo from "@capsa/guest/GuestInfo"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const run = <A, E>(effect: Effect.Effect<A, E, BunContext.BunContext>) =>
  Effect.runPromise(Effect.provide(effect, BunContext.layer))
const buildTimeoutMs = 1_800_000

test(
  "the tiny guest is what its files are, and small",
  async () => {
    const image = await run(GuestImages.tiny)
    const { tiny } = await run(GuestInfo.info)
    if (tiny === undefined) throw new Error("built, and not found")
    const { kernel, initrd, agent, busybox } = tiny
    for (const { path, bytes, sha256 } of [kernel, initrd, kernel.configuration].filter((file) => file !== undefined)) {
      expect(bytes).toBe(statSync(path).size)
      expect(sha256).toBe(new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex"))
    }
    expect([kernel.path, kernel.release, initrd.path]).toEqual([image.kernel, image.kernelRelease, image.initrd])
    expect(initrd.bytes).toBeLessThan(1024 * 1024)
    expect(agent.bytes).toBeLessThan(200 * 1024)
    expect(agent.version).toBe("0.1.0")
    expect(initrd.bytes).toBeGreaterThan(agent.bytes + busybox.bytes)
    expect(kernel.source).toMatch(/^linux-source-\S+=\S+ sha256:[0-9a-f]{64}$/)
    expect(busybox.source).toContain("busybox=")
  },
  buildTimeoutMs
)

test("what it tells can be sent as JSON", async () => {
  const info = await run(GuestInfo.info)
  const json = Schema.parseJson(GuestInfo.GuestInfo)
  expect(Schema.decodeSync(json)(Schema.encodeSync(json)(info))).toEqual(info)
})

test("with nothing in the cache there are no images, and none is built", () =>
  run(
    Effect.gen(function* () {
      const cache = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
      const provider = ConfigProvider.fromMap(new Map([["CAPSA_CACHE_DIR", cache]]))
      expect(yield* Effect.withConfigProvider(GuestInfo.info, provider)).toEqual({ cache })
    }).pipe(Effect.scoped)
  ))
