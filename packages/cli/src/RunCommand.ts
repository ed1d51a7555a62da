/** `capsa run -- CMD`: one command in a machine of its own. */
import { Sandbox } from "capsa"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { RunError } from "./CliError.ts"
import * as MachineReport from "./MachineReport.ts"
import type { CommandOptions } from "./options.ts"
import * as Process from "./Process.ts"
import { configOf } from "./runMachine.ts"

/**
 * What `capsa run --json -- CMD` prints for a command that has ended.
 *
 * @category models
 */
export const CommandReport = Schema.Struct({
  ...MachineReport.MachineReport.fields,
  ...Process.ProcessReport.fields
})
/** @category models */
export type CommandReport = typeof CommandReport.Type

const session = Effect.fnUntraced(function* (options: CommandOptions) {
  const sandbox = yield* Sandbox.launch(configOf(options))
  const ended = yield* Process.run(Process.spawnBy(sandbox), options)
  // Killed it would lose what its disks have not been told yet.
  yield* sandbox.shutdown()
  return { ...(yield* MachineReport.of(sandbox)), ...ended } satisfies CommandReport
}, Effect.scoped)

/** Runs it. Nothing is left of the machine afterwards. */
export const runCommand = (options: CommandOptions) =>
  options.timeout === undefined
    ? session(options)
    : Effect.timeoutFail(session(options), { duration: options.timeout, onTimeout: () => timeOver(options.timeout) })

const timeOver = (timeout: Duration.Duration | undefined) =>
  new RunError({
    reason: "Timeout",
    detail: `The command was killed${timeout === undefined ? "" : ` after ${Duration.format(timeout)}`}: its time was over.`,
    hint: "Give it more with --timeout."
  })
