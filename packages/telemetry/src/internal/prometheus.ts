import { createServer, type Server } from "node:http"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { PrometheusOptions } from "../Telemetry.ts"
import { TelemetryError } from "../TelemetryError.ts"

/**
 * Serves what a metric reader collects, at `/metrics`, until the scope closes. The exporter's own server can't take a free
 * port, and doesn't say where it listens.
 */
export const serve = Effect.fnUntraced(function* ({ host = "127.0.0.1", port = 9464 }: PrometheusOptions) {
  const reader = yield* Effect.sync(() => new PrometheusExporter({ preventServerStart: true }))
  const server = yield* Effect.acquireRelease(listen(reader, host, port), close)
  const address = server.address()
  const takenPort = Predicate.isRecord(address) ? address.port : port
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${takenPort}/metrics`
  yield* Effect.annotateLogs(Effect.logInfo(`metrics for Prometheus at ${url}`), "component", "telemetry")
  return { reader, url }
})

const listen = (reader: PrometheusExporter, host: string, port: number) =>
  Effect.async<Server, TelemetryError>((resume) => {
    const server = createServer((request, response) => {
      if (request.method === "GET" && /^\/metrics(\?|$)/.test(request.url ?? "")) {
        reader.getMetricsRequestHandler(request, response)
      } else {
        response.writeHead(404).end()
      }
    })
    server.once("error", (error) => {
      const errno = "code" in error ? String(error.code) : error.message
      resume(Effect.fail(new TelemetryError({ reason: "AddressUnavailable", subject: `${host}:${port}`, errno })))
    })
    server.listen(port, host, () => resume(Effect.succeed(server)))
  })

const close = (server: Server) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })
