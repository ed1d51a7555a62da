/** `capsa run`: one machine with its console attached, until it ends. */
import { type BootStage, VmExit } from "@capsa/core"
import { Vm } from "capsa"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { copyInput, copyOutput } from "./Attach.ts"
import { RunError, UsageError } from "./CliError.ts"
import { launch } from "./detached/Launch.ts"
import * as MachineReport from "./MachineReport.ts"
import { withoutNetwork } from "./network.ts"
import { isCommand, type RunOptions, withoutCommand, withoutKernel } from "./options.ts"
import { statusOf, Told, toData, writeJson } from "./Report.ts"
import { CommandReport, runCommand } from "./RunCommand.ts"
import { configOf, layerOf, withProgress } from "./runMachine.ts"
import { Stdio } from "./Stdio.ts"
import * as Timing from "./Timing.ts"

/**
 * What `capsa run --json` prints for a machine that came up. `error` is there when the exit status is not 0; where no
 * machine came up there is nothing else.
 *
 * @category models
 */
export const RunReport = Schema.Struct({
  ...MachineReport.MachineReport.fields,
  exit: VmExit,
  /** Bytes of console output that are missing because they were taken too slowly. */
  outputLost: Schema.Int,
  error: Schema.optional(RunError)
})
/** @category models */
export type RunReport = typeof RunReport.Type

/** How a session was over: the machine ended, its user left, its time was over. @category models */
export type Ending = "ended" | "left" | "time over"

/** What is wrong with an end, if anything is. */
export const errorOf = (
  ending: Ending,
  exit: VmExit,
  { timeout }: Pick<RunOptions, "timeout">
): RunError | undefined => {
  if (ending === "left") return undefined
  if (ending === "time over") {
    const after = timeout === undefined ? "" : ` after ${Duration.format(timeout)}`
    return new RunError({
      reason: "Timeout",
      detail: `The machine was killed${after}: its time was over.`,
      hint: "Give it more with --timeout, or look at its console: it may wait for input."
    })
  }
  switch (exit._tag) {
    case "PowerOff":
    case "Reboot":
      return undefined
    case "Panic":
      return new RunError({
        reason: "Panic",
        detail: `The guest's kernel panicked${exit.message === undefined ? "" : `: ${exit.message}`}.`,
        hint: "Its last lines on the console say more. A kernel that finds no root file system needs --initrd, or a root= in --cmdline."
      })
    case "OutOfMemory":
      return new RunError({
        reason: "OutOfMemory",
        detail: "The host's memory limit ended the machine.",
        hint: "Raise the limit, or give the machine less with --memory."
      })
    case "Killed":
    case "Failed":
      return new RunError({
        reason: "Failed",
        detail: `The machine could not go on: ${exit._tag === "Failed" ? exit.detail : "it was killed from outside."}`,
        hint: "Somebody ended it, or the host ran out of memory: `dmesg` tells. `capsa doctor` tells whether the host is fit; try another --backend."
      })
  }
}

/** Runs the machine until it ends, its user leaves, or its time is over. */
const session = Effect.fnUntraced(function* (options: RunOptions) {
  const { stdout, stderr } = yield* Stdio
  const vm = yield* Vm.launch(configOf(options))
  const output = yield* Effect.fork(copyOutput(vm, options.json ? stderr : stdout))
  const ended = Effect.as(Fiber.join(output), "ended" as const)
  const left = Effect.as(copyInput(vm), "left" as const)
  const timeOver = Effect.as(
    options.timeout === undefined ? Effect.never : Effect.sleep(options.timeout),
    "time over" as const
  )
  const ending: Ending = yield* ended.pipe(Effect.raceFirst(left), Effect.raceFirst(timeOver))
  const exit = ending === "ended" ? yield* vm.wait : yield* vm.kill
  // What it said last is written out, unless nobody takes it.
  const outputLost = yield* Effect.timeoutOption(Fiber.join(output), "1 second")
  return {
    ...(yield* MachineReport.of(vm)),
    exit,
    outputLost: Option.getOrElse(outputLost, () => 0),
    error: errorOf(ending, exit, options)
  } satisfies RunReport
}, Effect.scoped)

/** What was given without what it goes with, if so. */
const misplaced = (options: RunOptions): UsageError | undefined => {
  const conflict = (option: string, what: string, hint: string) =>
    new UsageError({ reason: "Conflict", detail: `${option} goes with ${what}.`, hint })
  const stray = withoutKernel(options)
  if (stray !== undefined) return conflict(stray, "--kernel", "Name the kernel: --kernel vmlinuz.")
  if (options.variables !== undefined && options.firmware === undefined) {
    return conflict("--variables", "--firmware", "Name the firmware: --firmware uefi.")
  }
  if (options.kernel !== undefined && options.firmware !== undefined) {
    return conflict("--firmware", "a system on a disk", "Leave out --kernel.")
  }
  if (options.guest !== undefined && (options.kernel ?? options.firmware) !== undefined) {
    const other = options.kernel === undefined ? "--firmware" : "--kernel"
    return conflict("--guest", "the built-in guest", `Leave out ${other}.`)
  }
  const unreachable = withoutNetwork(options)
  if (unreachable !== undefined) return conflict(unreachable, "a network", "Leave out --net none.")
  const idle = withoutCommand(options)
  if (idle !== undefined) return conflict(idle, "a command", "Name it at the end: capsa run … -- sh -c 'echo hello'.")
  if (options.detach && options.tty) {
    return conflict("--tty", "a terminal, which --detach leaves", "Leave it out; capsa exec has --tty, too.")
  }
  return undefined
}

/** The verb. */
export const run = Effect.fn("run")(function* (options: RunOptions) {
  const wrong = misplaced(options)
  if (wrong !== undefined) return yield* wrong
  if (options.detach) return yield* tellDetached(yield* launch(options), options)
  const on = layerOf(options.backend)
  if (isCommand(options)) {
    return yield* tellCommand(yield* runCommand(options).pipe(withProgress, Effect.provide(on)), options)
  }
  return yield* tellMachine(yield* session(options).pipe(withProgress, Effect.provide(on)), options)
})

const drawTiming = Effect.fnUntraced(function* (stages: ReadonlyArray<BootStage>, { timing }: RunOptions) {
  const { stderr } = yield* Stdio
  if (timing) yield* stderr.write(Timing.render(stages, stderr))
})

const tellDetached = Effect.fnUntraced(function* (report: MachineReport.MachineReport, options: RunOptions) {
  const { stdout } = yield* Stdio
  yield* drawTiming(report.stages, options)
  if (!options.json) return yield* stdout.write(`${report.id}\n`)
  return yield* writeJson(yield* Effect.orDie(Schema.encode(MachineReport.MachineReport)(report)))
})

/** What the command said has been told. */
const tellCommand = Effect.fnUntraced(function* (report: CommandReport, options: RunOptions) {
  yield* drawTiming(report.stages, options)
  if (options.json) yield* writeJson(yield* Effect.orDie(Schema.encode(CommandReport)(report)))
  if (report.exitCode !== 0) return yield* new Told({ status: report.exitCode })
})

const tellMachine = Effect.fnUntraced(function* (report: RunReport, options: RunOptions) {
  const { stderr } = yield* Stdio
  yield* drawTiming(report.stages, options)
  if (report.outputLost > 0) {
    yield* stderr.write(`capsa: ${report.outputLost} bytes of output are missing: they were taken too slowly.\n`)
  }
  if (options.json) yield* printReport(report)
  if (report.error === undefined) return
  return yield* options.json ? new Told({ status: statusOf(report.error) }) : report.error
})

const printReport = Effect.fnUntraced(function* (report: RunReport) {
  const data = yield* Effect.orDie(Schema.encode(RunReport)(report))
  yield* writeJson(report.error === undefined ? data : { ...data, error: yield* toData(report.error) })
})
