/** A real guest's launch, as a collector is told of it. */
import { expect } from "bun:test"
import { Telemetry } from "@capsa/telemetry"
import { live } from "@capsa/testing"
import { Kvm, Qemu } from "capsa"
import * as Vm from "capsa/Vm"
import * as Effect from "effect/Effect"
import * as Collector from "./fixtures/collector.ts"
import { expectLaunch } from "./fixtures/traced.ts"

const name = Bun.env["CAPSA_TEST_BACKEND"] ?? "qemu"

live(
  `a launch on ${name} reaches a collector with its stages, those too that come when it is over`,
  () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make
      const { id, stages } = yield* Effect.gen(function* () {
        const vm = yield* Vm.launch({ memory: 128 })
        yield* vm.console.expect("capsa: init", { timeout: "2 minutes" })
        yield* vm.kill
        return { id: vm.id, stages: yield* vm.stages }
      }).pipe(
        Effect.scoped,
        Effect.provide(name === "kvm" ? Kvm.layer : Qemu.layer()),
        Effect.provide(Telemetry.layer({ otlpUrl: collector.url, metricsInterval: "1 hour" }))
      )
      expect(stages.map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
      expectLaunch((yield* collector.received).spans, id, stages)
    }),
  300_000
)
