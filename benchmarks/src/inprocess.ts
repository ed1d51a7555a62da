/** What do the steps inside one process cost? A call into the library, a configuration, a plan, a machine of a pool. */
import * as BootPlan from "@capsa/core/BootPlan"
import * as VmConfig from "@capsa/core/VmConfig"
import { Kvm } from "@capsa/kvm"
import * as Library from "@capsa/native/Library"
import { Simulated } from "@capsa/testing"
import * as Path from "@effect/platform/Path"
import { VmPool } from "capsa"
import * as Effect from "effect/Effect"
import { Bench } from "tinybench"
import { percentile, type Row } from "./report.ts"

/** Calls in one sample, where one call is shorter than the clock can tell. */
const callsInSample = 1000

const repeated = (call: () => unknown) => () => {
  for (let turn = 0; turn < callsInSample; turn++) call()
}

const config = {
  name: "benchmark",
  boot: { kernel: "/boot/vmlinuz", initrd: "/boot/initrd", cmdline: 'quiet root=/dev/vda rw init="/sbin/my init"' },
  cpus: 2,
  memory: "512MiB"
}

const decode = VmConfig.decode(config)

const plan = (decoded: VmConfig.VmConfig) =>
  BootPlan.make(decoded, { id: "00000000-0000-4000-8000-000000000000", capabilities: Kvm.capabilities }).pipe(
    Effect.provide(Path.layer)
  )

/** A use of a machine of a pool, which costs nothing itself: nothing is launched, what is reset is as it was. */
const poolOf = (max: number) =>
  VmPool.make({ config: {}, min: max, max, reset: () => Effect.void }).pipe(
    Effect.tap(({ stats }) => Effect.repeat(stats, { until: ({ idle }) => idle === max })),
    Effect.map(({ acquire }) => Effect.scoped(acquire)),
    Effect.provide(Simulated.layer())
  )

export const rows: Effect.Effect<ReadonlyArray<Row>> = Effect.scoped(
  Effect.gen(function* () {
    const { call, instance } = yield* Library.open
    const decoded = yield* decode
    const useOne = yield* poolOf(1)
    const useOneOfMany = yield* poolOf(100)
    const bench = new Bench({ warmupTime: 200, time: 500 })
      .add("FFI call", repeated(call.capsa_abi_version))
      .add(
        "FFI call that looks a machine up",
        repeated(() => call.capsa_kill(instance, 0))
      )
      .add("decode a configuration", () => Effect.runSync(decode))
      .add("plan", () => Effect.runSync(plan(decoded)))
      .add("acquire from a pool and give back", () => Effect.runPromise(useOne))
      .add("the same, from a pool of 100", () => Effect.runPromise(useOneOfMany))
    yield* Effect.promise(() => bench.run())
    return bench.tasks.flatMap(({ name, result }) => {
      if (result.state !== "completed") return []
      const perSample = name.startsWith("FFI") ? callsInSample : 1
      const microseconds = (milliseconds: number) => (milliseconds * 1000) / perSample
      const { samples, p50, p99, samplesCount } = result.latency
      return [
        {
          name,
          unit: "µs",
          samples: samplesCount,
          p50: microseconds(p50 ?? percentile(samples ?? [], 0.5)),
          p99: microseconds(p99 ?? percentile(samples ?? [], 0.99))
        }
      ]
    })
  })
).pipe(Effect.orDie)
