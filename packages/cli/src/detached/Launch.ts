/** `capsa run --detach`: starts a supervisor, and leaves when its machine is there. */
import type { VmConfig } from "@capsa/core"
import * as Progress from "@capsa/guest/Progress"
import * as StatusLine from "@capsa/guest/StatusLine"
import * as Machines from "@capsa/state/Machines"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TargetError } from "../CliError.ts"
import { isCommand, type RunOptions } from "../options.ts"
import { configOf } from "../runMachine.ts"
import { Stdio } from "../Stdio.ts"
import { News, Order } from "./Handover.ts"

const program = Bun.fileURLToPath(new URL("supervisorMain.ts", import.meta.url))

/** Runs on when the scope has closed, if all went well until then. */
const startSupervisor = (order: Order) =>
  Effect.acquireRelease(
    Effect.map(Effect.orDie(Schema.encode(Order)(order)), (text) =>
      Bun.spawn([process.execPath, program], {
        detached: true,
        stdin: new Blob([text]),
        stdout: "pipe",
        stderr: "pipe"
      })
    ),
    (supervisor, exit) => {
      if (Exit.isSuccess(exit)) return Effect.void
      supervisor.kill("SIGTERM")
      return Effect.promise(() => supervisor.exited)
    }
  )

const pieces = (stream: ReadableStream<Uint8Array>) =>
  Stream.orDie(
    Stream.fromReadableStream(
      () => stream,
      (cause) => cause
    )
  )

/** What it runs to its end is the machine's main process. */
const orderOf = (options: RunOptions): Order => {
  const { backend, cwd, env, timeout, user } = options
  const maxLifetime = timeout && Duration.toMillis(timeout)
  const main = isCommand(options) ? { argv: options.command, env: Object.fromEntries(env), cwd, user } : undefined
  return { backend, config: { ...configOf(options), main, maxLifetime } satisfies VmConfig }
}

const nameIsFree = Effect.fnUntraced(function* (name: string) {
  const holder = (yield* Machines.alive).find((machine) => machine.name === name)
  if (holder === undefined) return
  return yield* new TargetError({
    reason: "NameTaken",
    target: name,
    detail: `There is a machine ${name} already (${holder.id}).`,
    hint: `Choose another --name, or end that one: capsa stop ${name}`
  })
})

/** The machine is there and can be reached when this succeeds; else nothing is left of it. */
export const launch = Effect.fn("detach")(
  function* (options: RunOptions) {
    const { stderr } = yield* Stdio
    if (options.name !== undefined) yield* nameIsFree(options.name)
    const supervisor = yield* startSupervisor(orderOf(options))
    yield* Effect.forkScoped(Stream.runForEach(pieces(supervisor.stderr), stderr.write))
    yield* Progress.stage("starting the machine")
    const outcome = yield* pieces(supervisor.stdout).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect((line) => Effect.orDie(Schema.decode(News)(line))),
      Stream.tap((news) => (news._tag === "Stage" ? Progress.stage(news.phrase) : Effect.void)),
      Stream.filter((news) => news._tag !== "Stage"),
      Stream.runHead
    )
    if (Option.isNone(outcome)) return yield* endedEarly(options)
    if (outcome.value._tag === "Failed") return yield* outcome.value.error
    return outcome.value.machine
  },
  Effect.scoped,
  Effect.provide(StatusLine.layer)
)

const endedEarly = ({ name = "the machine" }: RunOptions) =>
  new TargetError({
    reason: "SupervisorLost",
    target: name,
    detail: `The process that was to hold ${name} ended before it was there.`,
    hint: "Somebody killed it, or the host ran out of memory: `dmesg` tells. `capsa cleanup` removes what is left."
  })
