/**
 * `bun packages/capsa/test/fuzz/matcher.ts [--cases N] [--seed S]`: compares the matcher with a naive search in so many
 * random cases, a million if not told. Prints the time, or the first case on which they differ.
 */
import { parseArgs } from "node:util"
import { judge } from "../fixtures/matcherCases.ts"
import { freshSeed, random } from "../fixtures/random.ts"

const { values } = parseArgs({ options: { cases: { type: "string", default: "1000000" }, seed: { type: "string" } } })
const seed = values.seed === undefined ? freshSeed() : Number(values.seed)
const startedAt = performance.now()
process.stdout.write(`seed ${seed}\n`)
const matches = judge(random(seed), Number(values.cases))
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
process.stdout.write(`${values.cases} cases agree, ${matches} with a match, in ${seconds} s\n`)
