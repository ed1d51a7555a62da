/** `capsa guest`, and `capsa run --guest`, on QEMU. */
import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GuestPaths, GuestReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { capsa, told } from "./capsa.ts"

const backend = "qemu"
const images = await Effect.runPromise(
  Effect.provide(Effect.all({ tiny: GuestImages.tiny, debian: GuestImages.debian }), BunContext.layer)
)

const testMs = 300_000

describe("the built-in guest", () => {
  for (const name of ["tiny", "debian"] as const) {
    test(
      `runs on the ${name} kernel where that is asked for`,
      async () => {
        const { status, stdout } = await capsa(["run", "--backend", backend, "--guest", name, "--", "uname", "-r"])
        expect([status, stdout.trim()]).toEqual([0, images[name].kernelRelease])
      },
      testMs
    )
  }

  test(
    "is tiny where nothing is asked for and that has been built",
    async () => {
      const { stdout } = await capsa(["run", "--backend", backend, "--", "uname", "-r"])
      expect(stdout.trim()).toBe(images.tiny.kernelRelease)
    },
    testMs
  )

  test("tells what it is and where, and that it is not there", async () => {
    const info = Schema.decodeUnknownSync(Schema.parseJson(GuestReport))(
      (await capsa(["guest", "info", "--json"])).stdout
    )
    expect(info.tiny?.kernel.release).toBe(images.tiny.kernelRelease)
    expect(info.tiny?.initrd.bytes).toBeLessThan(1024 * 1024)
    const paths = (await capsa(["guest", "path", "tiny", "--json"])).stdout
    const { initrd, kernel } = images.tiny
    expect(Schema.decodeUnknownSync(Schema.parseJson(GuestPaths))(paths)).toEqual({ tiny: { kernel, initrd } })
    const empty = mkdtempSync(join(tmpdir(), "capsa-cache-"))
    const nothing = await capsa(["guest", "path", "debian"], "", { CAPSA_CACHE_DIR: empty })
    rmSync(empty, { recursive: true })
    expect([nothing.status, told(nothing)]).toEqual([
      1,
      [expect.stringContaining("not there yet as debian"), expect.stringContaining("capsa guest build debian")]
    ])
  })
})
