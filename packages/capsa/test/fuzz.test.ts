/** A few seconds of the console fuzzer; `bun packages/capsa/test/fuzz/console.ts --seconds N` runs it longer. */
import { describe } from "bun:test"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { freshSeed } from "./fixtures/random.ts"
import { execute } from "./fuzz/execution.ts"

const executions = 1000

describe("the console", () => {
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
})
