/**
 * `bun run check [NAME…]`: all that can be said of the tree without running it. Exits with 1 if anything is found.
 *
 * @since 0.1.0
 */
import { checks, format, runChecks } from "./Checks.ts"
import { DevError, main } from "./DevError.ts"
import { root } from "./Folders.ts"
import { Progress, seconds } from "./Progress.ts"
import { open } from "./Tree.ts"

await main(async () => {
  const names = process.argv.slice(2)
  const unknown = names.filter((name) => !checks.some((check) => check.name === name))
  if (unknown.length > 0) {
    throw new DevError(`no check is called ${unknown.join(", ")}`, `there are ${checks.map((_) => _.name).join(", ")}`)
  }
  const wanted = names.length === 0 ? checks : checks.filter((check) => names.includes(check.name))
  const results = await runChecks(await open(root), new Progress(process.stderr), wanted)
  for (const { findings } of results) process.stdout.write(format(findings))
  for (const { name, findings, elapsedMs } of results) {
    const outcome = findings.length === 0 ? "ok" : `${findings.length} found`
    process.stdout.write(`${name.padEnd(14)}${outcome.padEnd(12)}${seconds(elapsedMs)}\n`)
  }
  if (results.some(({ findings }) => findings.length > 0)) process.exitCode = 1
})
