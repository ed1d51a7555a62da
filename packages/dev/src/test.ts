/**
 * `bun packages/dev/src/test.ts [TIER…]`: runs tiers of tests, all of them unless told which. Prints what was skipped
 * and why, what failed with the end of its log, and last a line `N passed, N failed, N skipped`. Exits with 1 if
 * anything failed, or if a tier had no test to run.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import { DevError, main } from "./DevError.ts"
import { cache } from "./Folders.ts"
import { make, ordinary } from "./Native.ts"
import { Progress, seconds } from "./Progress.ts"
import { makeFolder } from "./tier/Logs.ts"
import { failed, prefix, type Results, sum, tally } from "./tier/Results.ts"
import type { Tier } from "./tier/Tier.ts"
import { tiers } from "./tier/tiers.ts"

/** How much of a failed tier's log is printed. */
const logLinesMax = 150

const chosen = (words: ReadonlyArray<string>): ReadonlyArray<Tier> => {
  const known = ["all", ...tiers.map(({ name }) => name)]
  const unknown = words.filter((word) => !known.includes(word))
  if (unknown.length > 0) throw new DevError(`no tier is called ${unknown.join(", ")}`, `there are ${known.join(", ")}`)
  return words.length === 0 || words.includes("all") ? tiers : tiers.filter(({ name }) => words.includes(name))
}

const runTier = async (tier: Tier, logs: string, progress: Progress): Promise<Results> => {
  const path = join(logs, `${tier.name}.log`)
  const log = Bun.file(path).writer()
  const lines: Array<string> = []
  const startedAt = performance.now()
  const results = await progress.step(tier.name, (report) =>
    tier
      .run({
        report,
        log: (line) => {
          lines.push(line)
          log.write(`${line}\n`)
        }
      })
      .catch((cause) => failed(`could not run: ${cause}`))
  )
  await log.end()
  if (results.failures.length > 0) {
    progress.line(`--- ${tier.name}: the end of ${path}`)
    for (const line of lines.slice(-logLinesMax)) progress.line(line)
  }
  progress.line(`${tier.name.padEnd(10)}${tally(results)}, ${seconds(performance.now() - startedAt)}`)
  return prefix(tier.name, results)
}

/** Why nothing can be tested, if so: tests of a stale library would tell nothing. */
const buildLibrary = async (progress: Progress): Promise<Results | undefined> => {
  const made = await progress.step("native library", (report) => make(ordinary, ["all"], report))
  if (made.exitCode === 0) return undefined
  progress.line(made.output.trimEnd())
  return failed(`native/ does not compile, so nothing was tested (make: ${made.exitCode})`)
}

const runTiers = async (wanted: ReadonlyArray<Tier>, progress: Progress): Promise<Results> => {
  const broken = await buildLibrary(progress)
  if (broken !== undefined) return broken
  const logs = await makeFolder(join(cache(), "logs"), new Date())
  progress.line(`logs: ${logs}`)
  const parts: Array<Results> = []
  for (const tier of wanted) parts.push(await runTier(tier, logs, progress))
  return sum(parts)
}

await main(async () => {
  const wanted = chosen(process.argv.slice(2))
  const progress = new Progress(process.stdout)
  const results = await runTiers(wanted, progress)
  for (const { cause, test } of results.skips) progress.line(`skipped: ${test}: ${cause}`)
  for (const failure of results.failures) progress.line(`failed: ${failure}`)
  progress.line(tally(results))
  if (results.failures.length > 0) process.exitCode = 1
})
