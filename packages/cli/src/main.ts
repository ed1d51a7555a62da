/** The edge: words in, exit status out. */
import { constants } from "node:os"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Cli from "./Cli.ts"
import * as Log from "./Log.ts"
import * as Stdio from "./Stdio.ts"

let ending: NodeJS.Signals = "SIGINT"
process.once("SIGTERM", () => {
  ending = "SIGTERM"
})
// These too end the machine and restore the terminal; of itself, runMain does that for SIGINT and SIGTERM.
for (const signal of ["SIGHUP", "SIGQUIT"] as const) {
  process.once(signal, () => {
    process.emit("SIGTERM")
    ending = signal
  })
}

const internalError = (cause: Cause.Cause<never>) =>
  Effect.flatMap(Stdio.Stdio, ({ stderr }) =>
    stderr.write(`capsa: internal error\n${Cause.pretty(cause)}\n→ This is a fault of capsa; please report it.\n`)
  )

const program = Cli.main(process.argv.slice(2)).pipe(
  Effect.tapErrorCause((cause) => (Cause.isInterruptedOnly(cause) ? Effect.void : internalError(cause))),
  Effect.provide(Layer.merge(BunContext.layer, Layer.provideMerge(Log.layer, Stdio.layer)))
)

const statusOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isInterrupted(exit)) return 128 + constants.signals[ending]
  return Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 1
}

BunRuntime.runMain(program, {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  // Standard input may still be open, and would keep the process.
  teardown: (exit) => process.exit(statusOf(exit))
})
