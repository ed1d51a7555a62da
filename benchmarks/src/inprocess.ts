/** What do the steps inside one process cost? A call into the library, a configuration, a plan. */
import * as BootPlan from "@capsa/core/BootPlan"
import * as VmConfig from "@capsa/core/VmConfig"
import { Kvm } from "@capsa/kvm"
import * as Library from "@capsa/native/Library"
import * as Path from "@effect/platform/Path"
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

const plan = Effect.flatMap(decode, (decoded) =>
  BootPlan.make(decoded, { id: "00000000-0000-4000-8000-000000000000", capabilities: Kvm.capabilities })
).pipe(Effect.provide(Path.layer))

export const rows: Effect.Effect<ReadonlyArray<Row>> = Effect.scoped(
  Effect.gen(function* () {
    const { call, instance } = yield* Library.open
    const bench = new Bench({ warmupTime: 200, time: 500 })
      .add("FFI call", repeated(call.capsa_abi_version))
      .add(
        "FFI call that looks a machine up",
        repeated(() => call.capsa_kill(instance, 0))
      )
      .add("decode a configuration", () => Effect.runSync(decode))
      .add("decode and plan", () => Effect.runSync(plan))
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
