/** The conformance kit on QEMU with guests of arm64, with CAPSA_TEST_KIT=full: it takes five minutes. */
import { test } from "bun:test"
import { Architecture, GuestImages } from "@capsa/guest"
import { Qemu } from "@capsa/qemu"
import { conformance } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { options } from "./fixtures/conformanceHost.ts"

if (Bun.env["CAPSA_TEST_KIT"] === "full") {
  const { initrd, kernel } = await Effect.runPromise(
    GuestImages.debian.pipe(Effect.provideService(Architecture.Target, "arm64"), Effect.provide(BunContext.layer))
  )
  conformance("QEMU with guests of arm64", Qemu.layer({ architecture: "arm64" }), {
    ...options,
    guest: { kernels: { Image: kernel }, initrd, isLinux: true, patience: "4 minutes" }
  })
} else {
  test.skipIf(true)(
    "QEMU with guests of arm64 conforms — skipped: it takes five minutes, CAPSA_TEST_KIT=full runs it",
    () => {}
  )
}
