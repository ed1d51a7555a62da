/** What do the steps inside one process cost? A call into the library, a configuration, a plan, a machine of a pool. */
import * as BootPlan from "@capsa/core/BootPlan"
import * as VmConfig from "@capsa/core/VmConfig"
import { Kvm } from "@capsa/kvm"
import * as Library from "@capsa/native/Library"
import { Simulated } from "@capsa/testing"
import * as Path from "@effect/platform/Path"
import { VmPool } from "capsa"
import * as Effect from "effect/Effect"
import type { Row } from "./report.ts"
import { time } from "./timing.ts"

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
    return yield* time([
      { name: "FFI call", call: call.capsa_abi_version, callsInSample: 1000 },
      { name: "FFI call that looks a machine up", call: () => call.capsa_kill(instance, 0), callsInSample: 1000 },
      { name: "decode a configuration", call: () => Effect.runSync(decode) },
      { name: "plan", call: () => Effect.runSync(plan(decoded)) },
      { name: "acquire from a pool and give back", call: () => Effect.runPromise(useOne) },
      { name: "the same, from a pool of 100", call: () => Effect.runPromise(useOneOfMany) }
    ])
  })
).pipe(Effect.orDie)
