/** What do the steps inside one process cost? A call into the library, a configuration, a plan. */
import * as BootPlan from "@capsa/core/BootPlan"
import * as VmConfig from "@capsa/core/VmConfig"
import { Kvm } from "@capsa/kvm"
import * as Library from "@capsa/native/Library"
import * as Path from "@effect/platform/Path"
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

const plan = Effect.flatMap(decode, (decoded) =>
  BootPlan.make(decoded, { id: "00000000-0000-4000-8000-000000000000", capabilities: Kvm.capabilities })
).pipe(Effect.provide(Path.layer))

export const rows: Effect.Effect<ReadonlyArray<Row>> = Effect.scoped(
  Effect.gen(function* () {
    const { call, instance } = yield* Library.open
    return yield* time([
      { name: "FFI call", call: call.capsa_abi_version, callsInSample: 1000 },
      { name: "FFI call that looks a machine up", call: () => call.capsa_kill(instance, 0), callsInSample: 1000 },
      { name: "decode a configuration", call: () => Effect.runSync(decode) },
      { name: "decode and plan", call: () => Effect.runSync(plan) }
    ])
  })
).pipe(Effect.orDie)
