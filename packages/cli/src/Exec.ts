/** `capsa exec`: a command in the guest of a detached machine. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { reach, spawnBy } from "./detached/Reach.ts"
import type { ProcessOptions } from "./options.ts"
import * as Process from "./Process.ts"
import { Told, writeJson } from "./Report.ts"

/** What `capsa exec --json` prints. @category models */
export const ExecReport = Process.ProcessReport
/** @category models */
export type ExecReport = typeof ExecReport.Type

/** The verb. */
export const exec = Effect.fn("exec")(function* (options: ProcessOptions & { readonly machine: string }) {
  const reached = yield* reach(options.machine)
  const report = yield* Process.run(spawnBy(reached), options)
  if (options.json) yield* writeJson(yield* Effect.orDie(Schema.encode(ExecReport)(report)))
  if (report.exitCode !== 0) return yield* new Told({ status: report.exitCode })
}, Effect.scoped)
