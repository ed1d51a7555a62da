/** The conformance kit on QEMU with KVM, with CAPSA_TEST_KIT=full: in the lab it takes a quarter of an hour. */
import { test } from "bun:test"
import { GuestImages } from "@capsa/guest"
import { Qemu } from "@capsa/qemu"
import { conformance } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { options } from "./fixtures/conformanceHost.ts"

const { CAPSA_LAB, CAPSA_TEST_KIT } = Bun.env

/** OVMF starts there by hand while nothing else runs, and never beside another busy process. */
const labLacks = {
  "features.uefi":
    "the QEMU 7.2 that emulates this host ends (tcg_handle_interrupt: assertion failed) under OVMF on KVM"
}

if (CAPSA_TEST_KIT === "full") {
  const { disk } = await Effect.runPromise(Effect.provide(GuestImages.uefi, BunContext.layer))
  const guest = { ...options.guest, uefiDisk: disk }
  const hostLacks = { ...options.hostLacks, ...(CAPSA_LAB === "1" && labLacks) }
  conformance("QEMU on KVM", Qemu.layer({ accel: "kvm" }), { ...options, guest, hostLacks })
} else {
  test.skipIf(true)(
    "QEMU on KVM conforms — skipped: it takes a quarter of an hour, CAPSA_TEST_KIT=full runs it",
    () => {}
  )
}
