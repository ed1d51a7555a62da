import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import { Backend, Vm } from "capsa"
import * as Effect from "effect/Effect"

const program = Effect.gen(function* () {
  const vm = yield* Vm.launch({ cpus: 2, memory: "256MiB", readyTimeout: "2 minutes" })
  yield* vm.console.expect("capsa# ", { timeout: "1 minute" })
  yield* vm.console.writeLine("nproc")
  const { match } = yield* vm.console.expect(/^(\d+)\r$/m, { timeout: "1 minute" })
  const exit = yield* vm.stop({ grace: "1 minute" })
  yield* Effect.log(`${match[1]} processors on ${vm.backend.description}: ${exit._tag}`)
})

program.pipe(
  Effect.scoped,
  Effect.provide(Backend.auto),
  Effect.catchTag("BackendError", (error) => Effect.logError(`${error.message} → ${error.hint}`)),
  BunRuntime.runMain
)
