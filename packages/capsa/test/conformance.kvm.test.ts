/** The conformance kit on QEMU with KVM. */
import { Qemu } from "@capsa/qemu"
import { conformance } from "@capsa/testing"
import { options } from "./fixtures/conformanceHost.ts"

conformance("QEMU on KVM", Qemu.layer({ accel: "kvm" }), options)
