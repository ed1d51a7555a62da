import { expect } from "bun:test"
import { Telemetry, TelemetryError } from "@capsa/telemetry"
import { effect, live, Simulated } from "@capsa/testing"
import * as Vm from "capsa/Vm"
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
      // The parser puts the series of a histogram together.
      stages: PrometheusText.familyOf(families, "capsa_vm_stage_duration")?.metrics[0]?.buckets?.["+Inf"] ?? 0
    }))
    const before = yield* counted
    yield* aLife
    const after = yield* counted
    expect(after).toMatchObject({ launches: before.launches + 1, exits: before.exits + 1, running: before.running })
    expect(after.bytes - before.bytes).toBeGreaterThan(100)
    expect(after.stages).toBeGreaterThan(before.stages)
    const families = yield* scrape
    expect(PrometheusText.familyOf(families, "capsa_vm_stage_duration")?.type).toBe("HISTOGRAM")
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
    const timed = dataPoints.map((point) => Collector.attribute(point, "vm.stage"))
    expect(timed.toSorted()).toEqual(stages.map(({ name }) => name).toSorted())
  })
)

live("a port that is taken is an error, and a free one again after the end", () =>
  Effect.gen(function* () {
    const scrape = (port: number) => Telemetry.layer({ prometheus: { port } })
    const port = yield* Effect.map(Telemetry.Telemetry, ({ prometheusUrl = "" }) =>
      Number(new URL(prometheusUrl).port)
    ).pipe(
      Effect.tap((port) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Effect.scoped(Layer.build(scrape(port))))
          expect(error).toBeInstanceOf(TelemetryError)
          expect(error).toMatchObject({ reason: "AddressUnavailable", errno: "EADDRINUSE" })
          expect(error.message).toContain(`127.0.0.1:${port}`)
        })
      ),
      Effect.provide(scrape(0))
    )
    yield* Effect.scoped(Layer.build(scrape(port)))
  })
)

effect("an address that is none is an error before anything is opened", () =>
  Effect.gen(function* () {
    for (const otlpUrl of ["", "collector:4318", "ftp://127.0.0.1/"]) {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Telemetry.layer({ otlpUrl }))))
      expect(error).toMatchObject({ reason: "InvalidUrl", subject: otlpUrl })
    }
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
