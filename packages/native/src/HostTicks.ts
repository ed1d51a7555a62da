/** The counter of the host's processor that an emulator shows to its guests as their own. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Functions, load } from "./Library.ts"

interface Reading {
  readonly ticks: bigint
  readonly timeNs: bigint
}

/** Two readings so far apart tell the speed to some millionths. */
const span = "20 millis"

const read = (call: Functions): Effect.Effect<Reading> =>
  Effect.sync(() => {
    const ticks = new BigUint64Array(1)
    const timeNs = new BigUint64Array(1)
    call.capsa_read_ticks(ticks, timeNs)
    return { ticks: ticks[0] ?? 0n, timeNs: timeNs[0] ?? 0n }
  })

/**
 * How fast it counts, in kHz; measured in some 20 milliseconds. None where the native library is not there, or the host is
 * no x86_64, whose counter alone is shown to guests: a guest then has to find out by itself, which goes wrong on a busy host.
 *
 * @category getters
 */
export const kilohertz: Effect.Effect<Option.Option<number>> = Effect.suspend(() =>
  process.arch === "x64" ? measured : Effect.succeed(Option.none())
)

const measured = Effect.gen(function* () {
  const call = yield* load
  const first = yield* read(call)
  yield* Effect.sleep(span)
  const last = yield* read(call)
  return Math.round((Number(last.ticks - first.ticks) * 1e6) / Number(last.timeNs - first.timeNs))
}).pipe(Effect.option, Effect.withSpan("HostTicks.kilohertz"))
