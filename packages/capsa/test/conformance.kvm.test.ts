/** The conformance kit on QEMU with KVM, with CAPSA_TEST_KIT=full: in the lab it takes a quarter of an hour. */
import { test } from "bun:test"
import { Qemu } from "@capsa/qemu"
import { conformance } from "@capsa/testing"
import { options } from "./fixtures/conformanceHost.ts"

if (Bun.env["CAPSA_TEST_KIT"] === "full") conformance("QEMU on KVM", Qemu.layer({ accel: "kvm" }), options)
else
  test.skipIf(true)(
    "QEMU on KVM conforms — skipped: it takes a quarter of an hour, CAPSA_TEST_KIT=full runs it",
    () => {}
  )
