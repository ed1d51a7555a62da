import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import { Backend, type Vm, VmPool } from "capsa"
import * as Effect from "effect/Effect"

/** Gives each sum a fresh machine, at most two at a time. */
const add = (a: number, b: number) =>
  Effect.gen(function* () {
    const pool = yield* VmPool.VmPool
    const vm = yield* pool.acquire
    yield* vm.console.writeLine(`echo sum=$((${a} + ${b}))`)
    const { match } = yield* vm.console.expect(/sum=(\d+)\r\n/, { timeout: "1 minute" })
    return Number(match[1])
  }).pipe(Effect.scoped)

const program = Effect.gen(function* () {
  const sums = yield* Effect.all([add(1, 1), add(20, 22), add(300, 3)], { concurrency: "unbounded" })
  const { spawns } = yield* Effect.flatMap(VmPool.VmPool, ({ stats }) => stats)
  yield* Effect.log(`${sums.join(", ")}, by ${spawns.count} machines`)
})

const pool = VmPool.layer({
  config: { memory: "256MiB" },
  max: 2,
  ready: (vm: Vm.Vm) => vm.console.expect("capsa# ")
})

program.pipe(
  Effect.provide(pool),
  Effect.provide(Backend.auto),
  Effect.catchAll((error) => Effect.logError(`${error.message} → ${error.hint}`)),
  BunRuntime.runMain
)
