import { expect } from "bun:test"
import { Qemu } from "@capsa/qemu"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { images } from "../src/BuiltinGuest.ts"

live("the tiny guest of arm64, which has no drivers for QEMU's machines, is refused with what to take instead", () =>
  Effect.gen(function* () {
    expect(yield* Effect.flip(images(Qemu.capabilitiesFor.arm64, "tiny"))).toMatchObject({
      _tag: "VmBootError",
      reason: "Unsupported",
      hint: expect.stringContaining("debian")
    })
  })
)
