/**
 * `bun packages/capsa/test/fuzz/agent.ts [--seconds N] [--seed S]`: fuzzes the host's side of the agent's protocol for so
 * long, 10 seconds if not told. Prints executions, time, memory and how calls ended, or the seed of the first execution that
 * went wrong; with `--seed` only that one runs.
 */
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { freshSeed } from "../fixtures/random.ts"
import { execute, type Tally } from "./agentExecution.ts"

const MiB = 1024 * 1024
/** How often memory is looked at, and what it may grow by after the first look. */
const lookEvery = 200
const growthMax = 64 * MiB

const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" }, seed: { type: "string" } } })
const startedAt = performance.now()
const elapsed = () => (performance.now() - startedAt) / 1000
const fail = (why: string) => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

const first = values.seed === undefined ? freshSeed() : Number(values.seed)
const seconds = values.seed === undefined ? Number(values.seconds) : 0
const ends: Tally = new Map()
let seed = first
let heapAtFirst: number | undefined
let growth = 0
process.on("uncaughtException", (error) => fail(`seeds ${first} to ${seed}: ${error}`))
do {
  const exit = await Effect.runPromiseExit(execute(seed))
  if (Exit.isFailure(exit)) fail(`seed ${seed}: ${Cause.pretty(exit.cause)}`)
  else for (const [how, count] of exit.value) ends.set(how, (ends.get(how) ?? 0) + count)
  seed++
  if ((seed - first) % lookEvery === 0) {
    Bun.gc(true)
    const { heapUsed } = process.memoryUsage()
    heapAtFirst ??= heapUsed
    growth = Math.max(growth, heapUsed - heapAtFirst)
    if (growth > growthMax)
      fail(`seeds ${first} to ${seed}: ${Math.round(growth / MiB)} MiB more are held than at first`)
  }
} while (elapsed() < seconds)
for (const [how, count] of [...ends].sort()) process.stdout.write(`${how} ${count}\n`)
process.stdout.write(
  `${seed - first} executions in ${elapsed().toFixed(1)} s, from seed ${first}: nothing found; memory grew by ` +
    `${(growth / MiB).toFixed(1)} MiB\n`
)
