/** `capsa stop`: ends a detached machine. */
import { VmExit } from "@capsa/core"
import { format } from "@capsa/core/VmExit"
import * as Machines from "@capsa/state/Machines"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { answer, reach } from "./detached/Reach.ts"
import { writeJson } from "./Report.ts"
import { Stdio } from "./Stdio.ts"

/** What `capsa stop --json` prints. @category models */
export const StopReport = Schema.Struct({ id: Schema.String, name: Schema.String, exit: VmExit })
/** @category models */
export type StopReport = typeof StopReport.Type

interface StopOptions {
  readonly machine: string
  readonly grace: Duration.Duration
  readonly force: boolean
  readonly json: boolean
}

const stopped = Effect.fnUntraced(function* ({ force, grace, machine: target }: StopOptions) {
  const reached = yield* reach(target)
  const asked = force ? {} : { graceMs: Duration.toMillis(grace) }
  const exit = yield* answer(reached, reached.client.stop(asked))
  const { id, name } = reached.machine
  return { id, name, exit } satisfies StopReport
}, Effect.scoped)

/** The supervisor removes what the machine had when nobody asks for anything any more. */
const gone = (id: string) =>
  Machines.alive.pipe(
    Effect.repeat({
      until: (alive) => alive.every((machine) => machine.id !== id),
      schedule: Schedule.spaced("10 millis")
    }),
    Effect.timeoutOption("10 seconds")
  )

/** The verb. */
export const stop = Effect.fn("stop")(function* (options: StopOptions) {
  const { stdout } = yield* Stdio
  const report = yield* stopped(options)
  yield* gone(report.id)
  if (options.json) return yield* writeJson(yield* Effect.orDie(Schema.encode(StopReport)(report)))
  return yield* stdout.write(`${report.name}: ${format(report.exit)}\n`)
})
