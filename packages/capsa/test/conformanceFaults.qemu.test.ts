/** The conformance kit notices what a backend has lost, on QEMU: what is asked for does not come to the machine. */
import { describe, expect } from "bun:test"
import { Backend, type BootPlan } from "@capsa/core"
import { Qemu } from "@capsa/qemu"
import { live } from "@capsa/testing"
import { type Claim, conforms } from "@capsa/testing/conformance"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import { tiny } from "./fixtures/realBackend.ts"

const guest = {
  kernels: tiny.kernels,
  initrd: tiny.initrd,
  isLinux: true,
  // What is gone is waited for in vain.
  patience: "20 seconds"
} as const

const losing = (lose: (plan: BootPlan) => BootPlan) =>
  Layer.effect(
    Backend,
    Effect.map(Backend, (backend) => ({ ...backend, boot: (plan: BootPlan) => backend.boot(lose(plan)) }))
  ).pipe(Layer.provide(Qemu.layer()))

const losses = {
  "features.disks": (plan) => ({ ...plan, disks: [] }),
  "features.shares": (plan) => ({ ...plan, shares: [] }),
  "features.vsock": (plan) => ({ ...plan, vsock: false }),
  "features.balloon": (plan) => ({ ...plan, balloon: false }),
  "features.ephemeralDisks": ({ disks, ...plan }) => ({
    ...plan,
    disks: disks.map((disk) => ({ ...disk, ephemeral: false }))
  })
} as const satisfies Partial<Record<Claim, (plan: BootPlan) => BootPlan>>

describe("the conformance kit fails a backend", () => {
  for (const [claim, lose] of Struct.entries(losses)) {
    live(
      `that has lost ${claim}`,
      () =>
        Effect.gen(function* () {
          const exit = yield* Effect.exit(Effect.provide(conforms(claim, { guest }), losing(lose)))
          expect(Exit.isFailure(exit)).toBe(true)
        }),
      300_000
    )
  }

  live(
    "that has more than it claims",
    () =>
      Effect.gen(function* () {
        const modest = Layer.effect(
          Backend,
          Effect.map(Backend, (backend) => ({
            ...backend,
            capabilities: { ...backend.capabilities, powerButton: false }
          }))
        ).pipe(Layer.provide(Qemu.layer()))
        const exit = yield* Effect.exit(Effect.provide(conforms("powerButton", { guest }), modest))
        expect(String(Exit.isFailure(exit) && exit.cause)).toContain("powerButton is not claimed, and works")
      }),
    300_000
  )
})
