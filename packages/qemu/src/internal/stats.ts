/** What QEMU's monitor tells of a machine's devices. */
import type { BootPlan, MachineStats } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Qmp } from "./qmp.ts"
import type { QmpError } from "./qmpError.ts"

const Balloon = Schema.Struct({ actual: Schema.Number })

/** Unknown is -1, or what that is without a sign. */
const GuestStats = Schema.Struct({
  "last-update": Schema.Number,
  stats: Schema.Struct({
    "stat-total-memory": Schema.Number,
    "stat-free-memory": Schema.Number,
    "stat-available-memory": Schema.Number
  })
})

const BlockStats = Schema.Array(
  Schema.Struct({ stats: Schema.Struct({ rd_bytes: Schema.Number, wr_bytes: Schema.Number }) })
)

const balloonDevice = { path: "/machine/peripheral/balloon" }

/** How often QEMU asks the guest, in seconds, from the first time on that somebody wants to know. */
const pollingSeconds = 1

/** The counters of a machine's balloon and disks, as far as it has some. */
export const make = Effect.fnUntraced(function* (qmp: Qmp, plan: Pick<BootPlan, "balloon" | "disks" | "memoryMib">) {
  const ask = yield* Effect.cached(
    qmp.execute("qom-set", Schema.Unknown, {
      ...balloonDevice,
      property: "guest-stats-polling-interval",
      value: pollingSeconds
    })
  )
  const balloon = Effect.gen(function* () {
    yield* ask
    const { actual } = yield* qmp.execute("query-balloon", Balloon)
    const { stats, ...told } = yield* qmp.execute("qom-get", GuestStats, { ...balloonDevice, property: "guest-stats" })
    return {
      balloon: { heldBytes: plan.memoryMib * 2 ** 20 - actual },
      ...(told["last-update"] > 0 && {
        guestMemory: {
          totalBytes: stats["stat-total-memory"],
          freeBytes: stats["stat-free-memory"],
          availableBytes: stats["stat-available-memory"]
        }
      })
    }
  })
  const disks = Effect.map(qmp.execute("query-blockstats", BlockStats), (blocks) => ({
    diskReadBytes: blocks.reduce((sum, { stats }) => sum + stats.rd_bytes, 0),
    diskWrittenBytes: blocks.reduce((sum, { stats }) => sum + stats.wr_bytes, 0)
  }))
  const counters: Effect.Effect<MachineStats, QmpError> = Effect.map(
    Effect.all([plan.balloon ? balloon : Effect.succeed({}), plan.disks.length > 0 ? disks : Effect.succeed({})]),
    ([ofBalloon, ofDisks]) => ({ ...ofBalloon, ...ofDisks })
  )
  return counters
})
