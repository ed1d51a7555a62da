/** `capsa cleanup`: removes what dead machines left behind, or lists it. */
import * as Cleanup from "@capsa/state/Cleanup"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { writeJson } from "./Report.ts"
import { type Output, Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** What `capsa cleanup --json` prints. @category models */
export const CleanupReport = Schema.Struct({
  /** True where the leftovers are gone, false where they were only looked at. */
  removed: Schema.Boolean,
  ...Cleanup.CleanupReport.fields
})
/** @category models */
export type CleanupReport = typeof CleanupReport.Type

const holdings = ({ cgroup, files, folder, processes }: Cleanup.Leftover): ReadonlyArray<string> => [
  ...processes.map((pid) => `process ${pid}`),
  ...(cgroup === undefined ? [] : [`cgroup ${cgroup}`]),
  `folder ${folder}${files.length === 0 ? "" : ` with ${files.join(", ")}`}`
]

const toText = ({ leftovers, notes, removed }: CleanupReport, output: Output<unknown>): string => {
  const { faint, strong, warning } = Style.of(output)
  const title = ({ machine }: Cleanup.Leftover) =>
    machine === undefined ? "a machine that was being made" : `${strong(machine.name)} ${faint(machine.id)}`
  const lines = [
    ...(leftovers.length === 0 ? ["Nothing is left behind."] : []),
    ...leftovers.flatMap((leftover) => [
      `${removed ? "removed" : "left"}: ${title(leftover)}`,
      ...holdings(leftover).map((text) => `  ${text}`)
    ]),
    ...notes.map(({ path, why }) => `${warning("!")} ${path} ${why}`)
  ]
  return lines.map((line) => `${line}\n`).join("")
}

/** The verb. */
export const cleanup = Effect.fn("cleanup")(function* (options: { readonly dryRun: boolean; readonly json: boolean }) {
  const { stdout } = yield* Stdio
  const found = yield* options.dryRun ? Cleanup.examine : Cleanup.cleanup
  const report: CleanupReport = { removed: !options.dryRun, ...found }
  if (options.json) return yield* writeJson(yield* Effect.orDie(Schema.encode(CleanupReport)(report)))
  return yield* stdout.write(toText(report, stdout))
})
