/**
 * `bun packages/capsa/test/fuzz/console.ts [--seconds N] [--seed S]`: fuzzes the console for so long, 10 seconds if not
 * told. Prints executions and time, or the seed of the first execution that went wrong; with `--seed` only that one runs.
 */
import { parseArgs } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { freshSeed } from "../fixtures/random.ts"
import { execute } from "./consoleExecution.ts"

const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" }, seed: { type: "string" } } })
const startedAt = performance.now()
const elapsed = () => (performance.now() - startedAt) / 1000

const first = values.seed === undefined ? freshSeed() : Number(values.seed)
const seconds = values.seed === undefined ? Number(values.seconds) : 0
let seed = first
do {
  const exit = await Effect.runPromiseExit(execute(seed))
  if (Exit.isFailure(exit)) {
    process.stderr.write(`seed ${seed}: ${Cause.pretty(exit.cause)}\n`)
    process.exit(1)
  }
  seed++
} while (elapsed() < seconds)
process.stdout.write(`${seed - first} executions in ${elapsed().toFixed(1)} s, from seed ${first}: nothing found\n`)
