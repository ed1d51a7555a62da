import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import { Backend, Vm } from "capsa"
import * as Effect from "effect/Effect"

const program = Effect.gen(function* () {
  const vm = yield* Vm.launch({ name: "hello", memory: "256MiB" })
  yield* vm.console.expect("capsa# ", { timeout: "2 minutes" })
  yield* vm.console.writeLine("uname -sr")
  const { text } = yield* vm.console.expect(/Linux \S+/, { timeout: "1 minute" })
  const exit = yield* vm.stop({ grace: "1 minute" })
  yield* Effect.log(`${text} on ${vm.backend.description}: ${exit._tag}`)
})

program.pipe(
  Effect.scoped,
  Effect.provide(Backend.auto),
  Effect.catchTag("BackendError", (error) => Effect.logError(`${error.message} → ${error.hint}`)),
  BunRuntime.runMain
)
