import { Telemetry } from "@capsa/telemetry"
import { Backend, Logging, Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const program = Effect.gen(function* () {
  const { prometheusUrl = "" } = yield* Telemetry.Telemetry
  const vm = yield* Vm.launch({ name: "observed" })
  yield* vm.console.expect("capsa# ", { timeout: "2 minutes" })
  yield* vm.stop()
  const metrics = yield* Effect.promise(() => fetch(prometheusUrl).then((response) => response.text()))
  return metrics.split("\n").filter((line) => line.startsWith("capsa_vm_exits_total"))
}).pipe(Effect.scoped, Effect.provide(Backend.auto))

// With `otlpUrl: "http://127.0.0.1:4318"` metrics and traces go to an OTLP collector there, too.
const telemetry = Telemetry.layer({ serviceName: "example", prometheus: { port: 0 } })

const lines = await Effect.runPromise(Effect.provide(program, Layer.merge(telemetry, Logging.layer())))
await Bun.write(Bun.stdout, `${lines.join("\n")}\n`)
