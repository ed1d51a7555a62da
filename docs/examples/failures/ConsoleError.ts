import type { Vm } from "capsa"
import * as Effect from "effect/Effect"

/** Presses Enter until there is a prompt: a time-out consumes nothing, so that waiting again misses nothing. */
export const prompted = ({ console }: Vm.Vm) =>
  console.expect(/[$#] $/, { timeout: "10 seconds" }).pipe(
    Effect.tapErrorTag("ConsoleError", ({ retryable }) => (retryable ? console.writeLine("") : Effect.void)),
    Effect.retry({ times: 5, while: (error) => error._tag === "ConsoleError" && error.retryable }),
    Effect.tapErrorTag("ConsoleError", ({ exit, received }) =>
      Effect.logError(exit === undefined ? `no prompt in: ${received}` : `it ended: ${exit._tag}`)
    )
  )
