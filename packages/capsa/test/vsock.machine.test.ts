import { expect } from "bun:test"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Vm from "../src/Vm.ts"
import { backend } from "./fixtures/realBackend.ts"
import * as Guest from "./fixtures/vsockGuest.ts"

live(
  "first",
  () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ boot: Guest.boot, memory: 256, vsock: true })
      yield* vm.console.expect("capsa# ", { timeout: "60 seconds" })
      yield* vm.console.writeLine(Guest.start)
      yield* vm.console.expect(Guest.listening, { timeout: "60 seconds" })
      const c = yield* vm.vsock.connect(1000, { timeout: "10 seconds" })
      yield* c.write("sink\n")
      const t = performance.now()
      yield* Guest.writeText(c, 8 << 20)
      yield* c.end
      console.log(yield* Guest.readAll(c), (performance.now() - t).toFixed(0), "ms")
      const d = yield* vm.vsock.connect(1001)
      yield* d.write("source 8388608\n")
      const t2 = performance.now()
      console.log(yield* Guest.readText(d), (performance.now() - t2).toFixed(0), "ms")
      yield* d.end
      const e = yield* vm.vsock.connect(1002)
      yield* e.write("echo\n")
      yield* e.write("hello")
      console.log(yield* Guest.readSome(e, 5))
      console.log(yield* Effect.flip(vm.vsock.connect(5555)))
      console.log(yield* vm.stats)
    }).pipe(Effect.provide(backend)),
  300000
)
