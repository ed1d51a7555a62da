import { expect } from "bun:test"
import { Telemetry, TelemetryError } from "@capsa/telemetry"
import type { TelemetryErrorReason } from "@capsa/telemetry/TelemetryError"
import { live, Simulated } from "@capsa/testing"
import { produces } from "@capsa/testing/failures"
import * as Vm from "capsa/Vm"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Collector from "./fixtures/collector.ts"
import * as PrometheusText from "./fixtures/prometheusText.ts"
import { expectLaunch } from "./fixtures/traced.ts"

const fetchText = (url: string) =>
  Effect.promise(async () => {
    const response = await fetch(url)
    return { status: response.status, text: await response.text() }
  })

/** Brings a machine up, finds nothing on its console, stops it. */
const aLife = Effect.gen(function* () {
  const vm = yield* Vm.launch({ name: "seen", readyTimeout: "20 seconds" })
  yield* vm.console.expect("nothing such", { timeout: 1 }).pipe(Effect.flip)
  const stages = yield* vm.stages
  yield* vm.stop()
  return { id: vm.id, stages }
}).pipe(Effect.scoped, Effect.provide(Simulated.layer()))

live("a scrape of the Prometheus endpoint has what a machine's life counted", () =>
  Effect.gen(function* () {
    const { prometheusUrl = "" } = yield* Telemetry.Telemetry
    expect(prometheusUrl).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/)
    const scrape = Effect.map(fetchText(prometheusUrl), ({ text }) => PrometheusText.read(text))
    const simulated = { vm_backend: "simulated" }
    const counted = Effect.map(scrape, (families) => ({
      launches: PrometheusText.figureOf(families, "capsa_vm_launches_total", { ...simulated, outcome: "success" }),
      exits: PrometheusText.figureOf(families, "capsa_vm_exits_total", { ...simulated, vm_exit: "PowerOff" }),
      running: PrometheusText.figureOf(families, "capsa_vm_running", simulated),
      bytes: PrometheusText.figureOf(families, "capsa_console_bytes_total", simulated),
      stages: PrometheusText.figureOf(families, "capsa_vm_stage_duration_count", { ...simulated, vm_stage: "init" })
    }))
    const before = yield* counted
    yield* aLife
    const after = yield* counted
    expect(after).toMatchObject({
      launches: before.launches + 1,
      exits: before.exits + 1,
      running: before.running,
      stages: before.stages + 1
    })
    expect(after.bytes - before.bytes).toBeGreaterThan(100)
    const families = yield* scrape
    expect(PrometheusText.familyOf(families, "capsa_vm_running")?.type).toBe("GAUGE")
    expect(PrometheusText.familyOf(families, "target_info")?.metrics[0]?.labels).toMatchObject({
      service_name: "scraped"
    })
    expect((yield* fetchText(prometheusUrl.replace("/metrics", "/"))).status).toBe(404)
  }).pipe(Effect.provide(Telemetry.layer({ prometheus: { port: 0 }, serviceName: "scraped" })))
)

live("a collector receives the launch with a child for each stage, and what was done with the machine", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    const { id, stages } = yield* aLife.pipe(
      Effect.provide(Telemetry.layer({ otlpUrl: collector.url, serviceName: "traced", metricsInterval: "1 hour" }))
    )
    // All has been sent: the layer is closed.
    const { metrics, services, spans } = yield* collector.received
    expect(services).toContain("traced")
    expect(stages.map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
    expectLaunch(spans, id, stages)
    for (const name of ["Console.expect", "Vm.stop"]) {
      const span = spans.find((each) => each.name === name)
      expect(span && Collector.attribute(span, "vm.id")).toBe(id)
    }
    expect(metrics).toContainEqual(expect.objectContaining({ name: "capsa.console.bytes", unit: "By" }))
    const { dataPoints = [] } = metrics.find(({ name }) => name === "capsa.vm.stage.duration")?.histogram ?? {}
    const timed = dataPoints
      .filter((point) => Collector.attribute(point, "vm.backend") === "simulated")
      .map((point) => Collector.attribute(point, "vm.stage"))
    expect(timed.toSorted()).toEqual(stages.map(({ name }) => name).toSorted())
  })
)

type TelemetryFailure = `TelemetryError.${TelemetryErrorReason}`

const portOf = (url = "") => Number(new URL(url).port)

/** Shows metrics at a port, and then takes it once more. */
const twice = Effect.gen(function* () {
  const { prometheusUrl } = yield* Telemetry.Telemetry
  yield* Layer.build(Telemetry.layer({ prometheus: { port: portOf(prometheusUrl) } }))
}).pipe(Effect.scoped, Effect.provide(Telemetry.layer({ prometheus: { port: 0 } })))

produces<TelemetryFailure, TelemetryError, typeof TelemetryError.Encoded, never>(
  TelemetryError,
  {
    "TelemetryError.InvalidUrl": {
      happens: Effect.scoped(Layer.build(Telemetry.layer({ otlpUrl: "collector:4318" }))),
      says: { subject: "collector:4318" }
    },
    "TelemetryError.AddressUnavailable": {
      happens: twice,
      says: { errno: "EADDRINUSE", subject: expect.stringMatching(/^127\.0\.0\.1:\d+$/) }
    }
  },
  (effect) => effect
)

live("a port is free again after the end", () =>
  Effect.gen(function* () {
    const show = (port: number) => Effect.scoped(Layer.build(Telemetry.layer({ prometheus: { port } })))
    const port = yield* Effect.map(show(0), (context) =>
      portOf(Context.get(context, Telemetry.Telemetry).prometheusUrl)
    )
    yield* show(port)
  })
)

live("a collector that does not answer disturbs nobody", () =>
  Effect.gen(function* () {
    const gone = yield* Effect.scoped(Effect.map(Collector.make, ({ url }) => url))
    const { stages } = yield* aLife.pipe(
      Effect.provide(Telemetry.layer({ otlpUrl: gone, shutdownTimeout: "100 millis" }))
    )
    expect(stages).toHaveLength(5)
  })
)
