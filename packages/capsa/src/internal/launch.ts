/** Launching machines, with an agent in them and without. */
import { Backend, SandboxError, type VmConfig, type VmError } from "@capsa/core"
import { isBuiltin } from "@capsa/core/BootConfig"
import * as BootPlan from "@capsa/core/BootPlan"
import { validate } from "@capsa/core/ConfigValidation"
import { decode } from "@capsa/core/VmConfig"
import * as Path from "@effect/platform/Path"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { candidates } from "../Backend.ts"
import { GuestImage } from "../GuestImage.ts"
import type { Sandbox } from "../Sandbox.ts"
import type { Vm, VmBackend } from "../Vm.ts"
import { speaker } from "./identity.ts"
import { stopwatch } from "./journal.ts"
import * as Life from "./life.ts"
import * as Measure from "./measure.ts"
import * as SandboxLife from "./sandboxLife.ts"

export const retries = Schedule.exponential("200 millis").pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jittered,
  Schedule.modifyDelay((_, delay) => Duration.millis(Math.round(Duration.toMillis(delay)))),
  Schedule.intersect(Schedule.recurs(8)),
  Schedule.upTo("30 seconds")
)

const launch = Effect.fn("Vm.launch")(function* (input: VmConfig, wantsAgent: boolean) {
  const millisSinceLaunch = yield* stopwatch
  const { boot, ...backend } = yield* Backend
  const id = yield* Effect.sync(() => crypto.randomUUID())
  const config = yield* decode(input)
  const name = config.name ?? BootPlan.defaultName(id)
  const identity = { "vm.id": id, "vm.name": name, "vm.backend": backend.name }
  yield* Effect.annotateCurrentSpan(identity)
  const asMachine = yield* speaker(identity)
  const agent = wantsAgent || config.main !== undefined
  const { capabilities } = backend
  const life = yield* makePlan(config, { id, capabilities, agent }, backend).pipe(
    Effect.flatMap((plan) =>
      retrying(inScopeOfItsOwn(Life.make(boot(plan), config, agent, millisSinceLaunch, identity)))
    ),
    Effect.tapError((error) => Effect.logDebug("launch failed", error)),
    asMachine
  )
  return { vm: { ...life.vm, id, name, config, backend } satisfies Vm, session: life.session, asMachine }
}, Measure.launch)

/** See `Vm.launch`. */
export const vm = (config: VmConfig): Effect.Effect<Vm, VmError, Backend | Scope.Scope> =>
  Effect.map(launch(config, false), ({ vm }) => vm)

/** See `Sandbox.launch`. */
export const sandbox: (config: VmConfig) => Effect.Effect<Sandbox, VmError, Backend | Scope.Scope> = Effect.fn(
  "Sandbox.launch"
)(function* (config: VmConfig) {
  const { asMachine, session, vm } = yield* launch(config, true)
  if (session === undefined)
    return yield* Effect.dieMessage("a machine was launched without the agent that was asked for")
  return SandboxLife.make(vm, session, asMachine)
})

/** Everything but the images is looked at before those are fetched or built. */
const makePlan = Effect.fn("Vm.plan")(
  function* (config: VmConfig, options: BootPlan.PlanOptions, { name, capabilities }: VmBackend) {
    yield* validate(config, { capabilities, backend: name, others: candidates })
    const { mainProcess } = capabilities.features
    if (options.agent && !mainProcess.supported) return yield* unsupported(name, mainProcess.reason)
    const images = isBuiltin(config.boot)
      ? yield* (yield* GuestImage).images(capabilities, config.boot?.guest)
      : undefined
    return yield* BootPlan.make(config, { ...options, images })
  },
  (plan) => Effect.flatMap(host, (context) => Effect.provide(plan, context))
)

const unsupported = (backend: string, why: string): SandboxError =>
  new SandboxError({
    reason: "Unsupported",
    subject: backend,
    detail: `The backend has no way to an agent in its guests, because ${why}.`,
    hint: "Use another backend, or a plain Vm and its console."
  })

/** The host's files and paths, built once: that takes longer than all that a launch looks at. */
const host = Effect.runSync(Effect.cached(Effect.scoped(Layer.build(Layer.merge(BunFileSystem.layer, Path.layer)))))

const retrying = <A, E extends VmError, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(
    attempt,
    Schedule.intersect(Schedule.identity<E>(), retries).pipe(
      Schedule.whileInput(({ retryable }) => retryable),
      Schedule.modifyDelayEffect(([error], delay) =>
        Effect.logWarning(`launch failed: trying again in ${Duration.format(delay)}`, error).pipe(Effect.as(delay))
      )
    )
  )

/** Runs it in a scope that closes at once if it fails or is interrupted, and otherwise with the scope around it. */
const inScopeOfItsOwn = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      return yield* restore(Scope.extend(effect, scope)).pipe(
        Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void))
      )
    })
  )
