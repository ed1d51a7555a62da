/**
 * A few seconds of the fuzzers of the console and of agents; `bun packages/capsa/test/fuzz/console.ts --seconds N` and
 * `fuzz/agent.ts` run them longer.
 */
import { describe } from "bun:test"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { freshSeed } from "./fixtures/random.ts"
import * as AgentFuzz from "./fuzz/agentExecution.ts"
import * as ConsoleFuzz from "./fuzz/consoleExecution.ts"

const survives = (executions: number, execute: (seed: number) => Effect.Effect<unknown>) => {
  const seed = freshSeed()
  live(
    `survives ${executions} executions of its fuzzer (from seed ${seed})`,
    () =>
      Effect.forEach(
        Array.from({ length: executions }, (_, count) => seed + count),
        (seed) => Effect.tapErrorCause(execute(seed), () => Effect.logError(`fails: --seed ${seed}`)),
        { discard: true }
      ),
    120_000
  )
}

describe("the console", () => survives(1000, ConsoleFuzz.execute))
describe("the host of an agent", () => survives(100, AgentFuzz.execute))
