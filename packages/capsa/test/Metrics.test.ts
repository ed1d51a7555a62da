/** What machines count and time, on simulated machines and in virtual time. */
import { expect } from "bun:test"
import { VmBootError } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Metrics from "../src/Metrics.ts"
import * as Vm from "../src/Vm.ts"

type Labels = Readonly<Record<string, string>>

/** Counts, or the number of a gauge, of the series that has these labels; 0 if there is none yet. */
const figure = ({ name }: Metrics.Definition, labels: Labels = {}) =>
  Effect.map(Metric.snapshot, (pairs) => {
    const wanted = Object.entries({ "vm.backend": "simulated", ...labels })
    const series = pairs.find(
      ({ metricKey }) =>
        metricKey.name === name &&
        wanted.every(([key, value]) => metricKey.tags.some((tag) => tag.key === key && tag.value === value))
    )
    const { count, sum, value } = { count: 0, sum: 0, value: 0, ...series?.metricState }
    return { count: Number(count), sum, value: Number(value) }
  })

/** The registry is shared with other tests: what counts is the difference. */
const since = (definition: Metrics.Definition, labels?: Labels) =>
  Effect.map(figure(definition, labels), (before) =>
    Effect.map(figure(definition, labels), (now) => ({
      count: now.count - before.count,
      sum: now.sum - before.sum,
      value: now.value - before.value
    }))
  )

const { consoleBytes, consoleLost, exits, launches, running, stageDuration } = Metrics.definitions

effect("a machine is counted when it is launched, while it runs, and when it ends", () =>
  Effect.gen(function* () {
    const launched = yield* since(launches, { outcome: "success" })
    const alive = yield* since(running)
    const ended = yield* since(exits, { "vm.exit": "PowerOff" })
    const timed = yield* since(stageDuration, { "vm.stage": "kernel" })
    const life = yield* Effect.gen(function* () {
      const vm = yield* Vm.launch({ readyTimeout: "1 minute" })
      expect([yield* alive, yield* launched, yield* ended]).toMatchObject([{ value: 1 }, { count: 1 }, { count: 0 }])
      yield* vm.stop()
      expect([yield* alive, yield* launched, yield* ended]).toMatchObject([{ value: 0 }, { count: 1 }, { count: 1 }])
      // In seconds.
      expect(yield* timed).toMatchObject({ count: 1, sum: 8 })
    }).pipe(Effect.scoped, Effect.fork)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(life)
  }).pipe(Effect.provide(Simulated.layer({ guest: Simulated.linuxWith({ kernelAfter: 8000, initAfter: 9000 }) })))
)

const refusal = new VmBootError({ reason: "KernelInvalid", detail: "No kernel.", hint: "Give one." })

effect("a launch that fails is counted with its reason, and leaves nothing running", () =>
  Effect.gen(function* () {
    const failed = yield* since(launches, { outcome: "failure", "error.type": "VmBootError.KernelInvalid" })
    const refused = yield* since(launches, { outcome: "failure", "error.type": "VmConfigError.Invalid" })
    const alive = yield* since(running)
    yield* Effect.flip(Effect.scoped(Vm.launch({})))
    yield* Effect.flip(Effect.scoped(Vm.launch({ cpus: -1 })))
    expect([yield* failed, yield* refused, yield* alive]).toMatchObject([{ count: 1 }, { count: 1 }, { value: 0 }])
  }).pipe(Effect.provide(Simulated.layer({ beforeStage: () => Effect.fail(refusal) })))
)

effect("a launch that is interrupted is counted as that", () =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const interrupted = yield* since(launches, { outcome: "interrupted" })
    const boot = { beforeStage: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never) }
    const launching = yield* Effect.fork(Vm.launch({}).pipe(Effect.scoped, Effect.provide(Simulated.layer(boot))))
    yield* Deferred.await(begun)
    yield* Fiber.interrupt(launching)
    expect(yield* interrupted).toMatchObject({ count: 1 })
  })
)

effect("console output is counted in batches, and to the last byte at the end", () =>
  Effect.gen(function* () {
    const bytes = yield* since(consoleBytes)
    const missed = yield* since(consoleLost, { "lost.by": "reader" })
    yield* Effect.gen(function* () {
      const vm = yield* Vm.launch({ console: { historyBytes: 4096 } })
      yield* vm.console.expect("so far")
      expect((yield* bytes).count).toBe(65_536)
      // Begins where the history does.
      const [chunk] = yield* Stream.runCollect(Stream.take(vm.console.chunksFrom(0), 1))
      expect(chunk?.lost).toBe(66_542 - 4096)
      yield* vm.kill
    }).pipe(Effect.scoped)
    expect([yield* bytes, yield* missed]).toMatchObject([{ count: 66_542 }, { count: 66_542 - 4096 }])
  }).pipe(
    Effect.provide(
      Simulated.layer({
        guest: ({ print }) =>
          Effect.forEach(["x".repeat(65_000), "y".repeat(536), "z".repeat(1000), "so far"], print).pipe(
            Effect.zipRight(Effect.never)
          )
      })
    )
  )
)
