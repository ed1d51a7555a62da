/** Effects at the edge of a process that knows none: one runtime, and backends that live as long as their machines. */
import type { Backend, BackendError, VmConfig } from "@capsa/core"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { auto, candidates } from "../Backend.ts"
import * as Logging from "../Logging.ts"
import type { CallOptions, LaunchOptions } from "../promise.ts"
import * as Sandbox from "../Sandbox.ts"
import * as Vm from "../Vm.ts"
import * as VmPool from "../VmPool.ts"
import { named } from "./selection.ts"

type BackendLayer = Layer.Layer<Backend, BackendError>

/** What all machines of this process share. */
class Session extends Context.Tag("capsa/Session")<
  Session,
  {
    /** Closes with the process. */
    readonly scope: Scope.Scope
    /** A backend is open while a machine uses it: an open one may keep the process alive. */
    readonly backends: RcMap.RcMap<BackendLayer, Context.Context<Backend>, BackendError>
  }
>() {
  static readonly layer = Layer.scoped(
    Session,
    Effect.all({ scope: Effect.scope, backends: RcMap.make({ lookup: (layer: BackendLayer) => Layer.build(layer) }) })
  )
}

let current: ManagedRuntime.ManagedRuntime<Session, never> | undefined

/** Opened with the first launch, and disposed when the process has nothing left to do. */
const session = (): ManagedRuntime.ManagedRuntime<Session, never> => {
  if (current === undefined) {
    const opened = ManagedRuntime.make(Layer.provideMerge(Session.layer, Logging.layer({ level: "warn" })))
    process.once("beforeExit", () => {
      current = undefined
      return opened.dispose()
    })
    current = opened
  }
  return current
}

const layerOf = (backend: LaunchOptions["backend"] = "auto"): BackendLayer => {
  if (typeof backend !== "string") return backend
  return backend === "auto" ? auto : named(backend, candidates, "backend")
}

/** Something open, and how it is closed; closing it again does nothing. */
export interface Opened<A> {
  readonly value: A
  readonly scope: Scope.Scope
  readonly close: Effect.Effect<void>
}

/** Opens something in a scope of its own below `parent`, which closes by itself when `end` of it is over. */
const open = <A, E, R>(
  parent: Scope.Scope,
  acquire: Effect.Effect<A, E, R | Scope.Scope>,
  end?: (value: A) => Effect.Effect<unknown>
): Effect.Effect<Opened<A>, E, Exclude<R, Scope.Scope>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(parent, ExecutionStrategy.sequential)
      const value = yield* acquire.pipe(
        Scope.extend(scope),
        restore,
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      const close = yield* Effect.cached(Effect.uninterruptible(Scope.close(scope, Exit.void)))
      if (end !== undefined) yield* Effect.forkDaemon(Effect.zipRight(end(value), close))
      return { value, scope, close }
    })
  )

const openOn = <A, E>(
  backend: LaunchOptions["backend"],
  acquire: Effect.Effect<A, E, Backend | Scope.Scope>,
  end?: (value: A) => Effect.Effect<unknown>
) =>
  Effect.flatMap(Session, ({ backends, scope }) =>
    open(
      scope,
      Effect.flatMap(RcMap.get(backends, layerOf(backend)), (context) => Effect.provide(acquire, context)),
      end
    )
  )

/** The value, or a rejection with the error itself: nothing of Effect's own is thrown at a script. */
const settle = <A, E>(exit: Exit.Exit<A, E>, signal: AbortSignal | undefined): A => {
  if (Exit.isSuccess(exit)) return exit.value
  if (signal?.aborted && Cause.isInterrupted(exit.cause)) throw signal.reason
  throw Cause.originalError(Cause.squash(exit.cause))
}

/** How effects and streams are run for a script. */
export interface Runner {
  readonly run: <A, E>(effect: Effect.Effect<A, E, Session>, options?: CallOptions) => Promise<A>
  readonly iterate: <A, E>(stream: Stream.Stream<A, E>) => AsyncIterable<A>
}

export const runner = async (): Promise<Runner> => {
  const runtime = await session().runtime()
  return {
    run: async (effect, { signal } = {}) =>
      settle(await Runtime.runPromiseExit(runtime)(effect, signal && { signal }), signal),
    iterate: (stream) => Stream.toAsyncIterableRuntime(stream, runtime)
  }
}

/** Something that is open until it is closed, or the process has nothing left to do. */
export const own = <A, E>(acquire: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.flatMap(Session, ({ scope }) => open(scope, acquire))

const endOf = (vm: Vm.Vm) => vm.wait

/** A machine, which is closed when it ends, so that nothing waits for a script to do it. */
export const launch = (config: VmConfig, backend: LaunchOptions["backend"]) => openOn(backend, Vm.launch(config), endOf)

/** The same with its agent. */
export const sandbox = (config: VmConfig, backend: LaunchOptions["backend"]) =>
  openOn(backend, Sandbox.launch(config), endOf)

export const pool = (options: VmPool.VmPoolOptions, backend: LaunchOptions["backend"]) =>
  openOn(backend, VmPool.make(options))

/** A machine of a pool, until it is closed or ends, or the pool is closed. */
export const acquire = ({ scope, value: pool }: Opened<VmPool.VmPool>) => open(scope, pool.acquire, endOf)

export const tryAcquire = ({ scope, value: pool }: Opened<VmPool.VmPool>) =>
  open(scope, pool.tryAcquire, (vm) => (Option.isSome(vm) ? vm.value.wait : Effect.void))
