/** The life of a machine, from its first instruction to its end: the same for all backends. */
import type { Machine, SandboxError, TimeSpan, VmConfig, VmExit } from "@capsa/core"
import { defaults } from "@capsa/core/ConfigDefaults"
import { format } from "@capsa/core/VmExit"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ProcessExit } from "../Sandbox.ts"
import type { Vm } from "../Vm.ts"
import * as VmNetwork from "../VmNetwork.ts"
import * as Channel from "./agent/channel.ts"
import * as Session from "./agent/session.ts"
import * as Start from "./agent/start.ts"
import * as Console from "./console.ts"
import * as Control from "./control.ts"
import type { HostActs } from "./exitRefinement.ts"
import { component, type Identity, speaker } from "./identity.ts"
import * as Journal from "./journal.ts"
import * as Measure from "./measure.ts"
import { pump } from "./output.ts"
import * as Readiness from "./readiness.ts"
import * as StageReport from "./stageReport.ts"
import * as Vsock from "./vsock.ts"

/** How long an agent may take where the configuration sets no time. */
const agentTime = "2 minutes"
/** How long the agent's last words, and the news of a machine's end, may take after each other. */
const lastWordsTime = "1 second"

/**
 * Brings a machine up, within its `readyTimeout`, and leads it until the scope closes; if wanted, with a session with its
 * agent. `millisSinceLaunch` counts from when the launch was asked for.
 */
export const make = Effect.fnUntraced(function* <E, R>(
  boot: Effect.Effect<Machine, E, R>,
  config: VmConfig,
  wantsAgent: boolean,
  millisSinceLaunch: Effect.Effect<number>,
  identity: Identity
) {
  const backend = identity["vm.backend"]
  const asMachine = yield* speaker(identity)
  const bootAt = yield* millisSinceLaunch
  const inTime = yield* Readiness.deadline(config.readyTimeout, millisSinceLaunch)
  const inAgentTime = yield* Readiness.deadline(config.readyTimeout ?? agentTime, millisSinceLaunch)
  const machine = yield* inTime(component("backend")(boot), Readiness.nothingSeen)
  const journal = yield* Journal.make(millisSinceLaunch, yield* StageReport.make(bootAt, identity))
  const sink = Console.make(machine, config.console?.historyBytes ?? defaults.historyBytes)
  const acts: HostActs = { killedStandingStill: false, lifetimeOver: false }
  const { end, ready } = yield* pump(machine, sink, journal, bootAt, acts, backend)
  const ended = yield* Deferred.make<VmExit>()
  let main: Effect.Effect<ProcessExit, SandboxError> | undefined
  const endWithStatus = Effect.flatMap(end, (exit) => withStatus(exit, main))
  yield* Measure.life(endWithStatus, machine, sink, backend).pipe(
    Effect.tap((exit) => journal.enter({ _tag: "Ended", exit })),
    Effect.tap((exit) => Effect.logDebug(`machine ended: ${format(exit)}`)),
    Effect.flatMap((exit) => Deferred.succeed(ended, exit)),
    Effect.forkScoped
  )
  const wait = Deferred.await(ended)
  const { kill, pause, resume, stop } = yield* Control.make(machine, journal, wait)
  // Runs before all other finalizers, while the fibers above still take the last output.
  yield* Effect.addFinalizer(() => asMachine(kill))
  yield* Effect.logDebug("machine started")
  if (config.maxLifetime !== undefined) {
    yield* Effect.forkScoped(endAfter(config.maxLifetime, wait, stop(), acts))
  }
  const { status, statusChanges, stages, stageChanges } = journal
  const { console } = sink
  const inConsole = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.tapBoth({
        onFailure: (error) => Effect.logDebug(`${name} failed`, error),
        onSuccess: () => Effect.logDebug(`${name} succeeded`)
      }),
      component("console"),
      asMachine
    )
  const seen = Readiness.lookAt({ stages, console }, config)
  if (config.readyTimeout !== undefined) yield* inTime(Readiness.before(wait, ready, seen), seen)
  const paused = Effect.map(status, ({ _tag }) => _tag === "Paused")
  const vsock = yield* Vsock.make(machine)
  const greeting = Effect.gen(function* () {
    const session = yield* Session.make(yield* Channel.open(machine, vsock, ready), { paused, backend })
    yield* journal.reachNow("agent")
    yield* Start.start(session, { name: identity["vm.name"], network: hasNetwork(config) })
    if (config.main !== undefined) main = yield* Start.startMain(session, config.main)
    return session
  }).pipe(
    // That the machine has ended, and how, says more than that its agent hung up.
    Effect.tapErrorTag("SandboxError", ({ reason }) =>
      reason === "Disconnected" ? Effect.timeoutOption(wait, lastWordsTime) : Effect.void
    )
  )
  const session = wantsAgent ? yield* inAgentTime(Readiness.before(wait, greeting, seen), seen) : undefined
  const vm = {
    status,
    statusChanges,
    stages,
    stageChanges,
    console: {
      ...console,
      expect: (...given) => inConsole("expect", console.expect(...given)),
      run: (...given) => inConsole("run", console.run(...given)),
      login: (...given) => inConsole("login", console.login(...given))
    },
    vsock,
    wait,
    stats: machine.stats,
    network: VmNetwork.make(machine),
    stop: (options) => asMachine(stop(options)),
    kill: asMachine(kill),
    pause: asMachine(pause),
    resume: asMachine(resume)
  } satisfies Omit<Vm, "id" | "name" | "config" | "backend">
  return { vm, session }
})

const hasNetwork = ({ network }: VmConfig): boolean => network !== undefined && network !== "none"

/** A guest that switched itself off because its main process ended has that one's status. */
const withStatus = (exit: VmExit, main: Effect.Effect<ProcessExit, SandboxError> | undefined): Effect.Effect<VmExit> =>
  exit._tag !== "PowerOff" || main === undefined
    ? Effect.succeed(exit)
    : Effect.map(Effect.timeoutOption(Effect.option(main), lastWordsTime), (ended) =>
        Option.match(Option.flatten(ended), {
          onNone: () => exit,
          onSome: ({ exitCode }) => ({ ...exit, status: exitCode })
        })
      )

const endAfter = (lifetime: TimeSpan, wait: Effect.Effect<VmExit>, stop: Effect.Effect<VmExit>, acts: HostActs) =>
  Effect.timeoutOption(wait, lifetime).pipe(
    Effect.filterOrElse(Option.isSome, () => {
      acts.lifetimeOver = true
      return Effect.zipRight(
        Effect.logWarning(`the machine has lived for ${Duration.format(lifetime)}, its maxLifetime: stopping it`),
        stop
      )
    })
  )
