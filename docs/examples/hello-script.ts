import { Backend, Vm } from "capsa"
import * as Effect from "effect/Effect"

const hello = Effect.gen(function* () {
  const vm = yield* Vm.launch({ cpus: 2, memory: "256MiB" })
  yield* vm.console.expect("capsa# ")
  yield* vm.console.writeLine("nproc")
  const { match } = yield* vm.console.expect(/^(\d+)\r$/m)
  return `${match[1]} processors on ${vm.backend.description}`
})

const text = await Effect.runPromise(hello.pipe(Effect.scoped, Effect.provide(Backend.auto)))
await Bun.write(Bun.stdout, `${text}\n`)
