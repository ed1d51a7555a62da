/**
 * Sends the spans and metrics of a program, capsa's among them, to OpenTelemetry collectors, and shows its metrics to
 * Prometheus. What there is of them: docs/OBSERVABILITY.md.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import type { Attributes } from "@opentelemetry/api"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Prometheus from "./internal/prometheus.ts"
import { TelemetryError } from "./TelemetryError.ts"

/** @category models */
export interface PrometheusOptions {
  /** 9464 if absent; 0 takes a free one. */
  readonly port?: number | undefined
  /** The address to listen at; `127.0.0.1` if absent, so that only this host can read it. */
  readonly host?: string | undefined
}

/** @category models */
export interface TelemetryOptions {
  /** Base address of an OTLP collector that takes HTTP: `http://127.0.0.1:4318`. Nothing is sent if absent. */
  readonly otlpUrl?: string | undefined
  /** Shows metrics at `/metrics` if given. */
  readonly prometheus?: PrometheusOptions | undefined
  /** Who speaks; what `OTEL_SERVICE_NAME` says if absent, else `capsa`. */
  readonly serviceName?: string | undefined
  readonly serviceVersion?: string | undefined
  /** What else is known of the speaker: `deployment.environment.name` and the like. */
  readonly attributes?: Attributes | undefined
  /** How often metrics are sent; every 10 seconds if absent. What is left is sent at the end. */
  readonly metricsInterval?: Duration.DurationInput | undefined
  /** How long sending the rest may take at the end; 3 seconds if absent. */
  readonly shutdownTimeout?: Duration.DurationInput | undefined
}

/** Where it can be read. @category tags */
export class Telemetry extends Context.Tag("@capsa/telemetry/Telemetry")<
  Telemetry,
  {
    /** Address of the metrics for Prometheus, if they are shown. */
    readonly prometheusUrl: string | undefined
  }
>() {}

/**
 * Replaces the tracer of what it is provided to, and shows all metrics of the process. When its scope closes, it sends what is
 * left and stops listening. A collector that does not answer disturbs nobody: what cannot be sent is dropped.
 *
 * @category layers
 */
export const layer = (options: TelemetryOptions): Layer.Layer<Telemetry, TelemetryError> =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const collector = options.otlpUrl === undefined ? undefined : yield* parseUrl(options.otlpUrl)
      const prometheus = options.prometheus === undefined ? undefined : yield* Prometheus.serve(options.prometheus)
      const { attributes = {}, serviceVersion, shutdownTimeout = "3 seconds" } = options
      const serviceName = options.serviceName ?? (yield* nameFromEnvironment)
      const periodic = collector && sendPeriodically(collector, options.metricsInterval ?? "10 seconds")
      return NodeSdk.layer(() => ({
        resource: { serviceName, attributes, ...(serviceVersion === undefined ? {} : { serviceVersion }) },
        spanProcessor: collector && new BatchSpanProcessor(new OTLPTraceExporter({ url: signal(collector, "traces") })),
        metricReader: [prometheus?.reader, periodic].filter((reader) => reader !== undefined),
        shutdownTimeout
      })).pipe(Layer.map(() => Context.make(Telemetry, { prometheusUrl: prometheus?.url })))
    })
  )

const nameFromEnvironment = Config.string("OTEL_SERVICE_NAME").pipe(Config.withDefault("capsa"), Effect.orDie)

const sendPeriodically = (collector: URL, interval: Duration.DurationInput) => {
  const exportIntervalMillis = Duration.toMillis(interval)
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: signal(collector, "metrics") }),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportIntervalMillis, 10_000)
  })
}

const parseUrl = (text: string): Effect.Effect<URL, TelemetryError> => {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol)
    ? Effect.succeed(url)
    : Effect.fail(new TelemetryError({ reason: "InvalidUrl", subject: text }))
}

/** As the specification of OTLP over HTTP has it: a path below that of the collector. */
const signal = (collector: URL, name: "traces" | "metrics"): string =>
  new URL(`${collector.pathname.replace(/\/$/, "")}/v1/${name}`, collector).href
