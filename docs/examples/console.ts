import { Backend, Vm } from "capsa"
import * as Effect from "effect/Effect"

const program = Effect.gen(function* () {
  const { console } = yield* Vm.launch({})
  yield* console.expect("capsa# ", { timeout: "2 minutes" })
  const { exitCode, output } = yield* console.run("wc -l <<EOF\none\ntwo\nEOF", { timeout: "1 minute" })
  const late = yield* Effect.flip(console.run("echo begun; sleep 1000", { timeout: "2 seconds" }))
  yield* console.interrupt
  const { match } = yield* console.expect([/no such line/, /b(eg)un/], { timeout: "1 minute" })
  return `${output.trim()} lines, status ${exitCode}; ${late.message}; ${match[1]}\n`
})

const text = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Backend.auto)))
await Bun.write(Bun.stdout, text)
