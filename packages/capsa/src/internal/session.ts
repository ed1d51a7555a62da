/** Effects at the edge of a process that knows none: one runtime, and backends that live as long as their machines. */
import type { Backend, BackendError, VmConfig } from "@capsa/core"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as RcMap from "effect/RcMap"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { auto, candidates } from "../Backend.ts"
import * as Logging from "../Logging.ts"
import type { CallOptions, LaunchOptions } from "../promise.ts"
import * as Vm from "../Vm.ts"
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

/** A machine in a scope of its own, which closes when the machine ends, so that nothing waits for a script to do it. */
const open = (config: VmConfig, layer: BackendLayer) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { backends, scope } = yield* Session
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const vm = yield* RcMap.get(backends, layer).pipe(
        Effect.flatMap((backend) => Effect.provide(Vm.launch(config), backend)),
        Scope.extend(own),
        restore,
        Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
      )
      const close = yield* Effect.cached(Effect.uninterruptible(Scope.close(own, Exit.void)))
      yield* Effect.forkDaemon(Effect.zipRight(vm.wait, close))
      return { vm, close }
    })
  )

/** The value, or a rejection with the error itself: nothing of Effect's own is thrown at a script. */
const settle = <A, E>(exit: Exit.Exit<A, E>, signal: AbortSignal | undefined): A => {
  if (Exit.isSuccess(exit)) return exit.value
  if (signal?.aborted && Cause.isInterrupted(exit.cause)) throw signal.reason
  throw Cause.originalError(Cause.squash(exit.cause))
}

export const launch = async (config: VmConfig, { backend, signal }: LaunchOptions) => {
  const runtime = await session().runtime()
  const run = async <A, E>(effect: Effect.Effect<A, E, Session>, { signal }: CallOptions = {}): Promise<A> =>
    settle(await Runtime.runPromiseExit(runtime)(effect, signal && { signal }), signal)
  const { close, vm } = await run(open(config, layerOf(backend)), { signal })
  const iterate = <A, E>(stream: Stream.Stream<A, E>): AsyncIterable<A> =>
    Stream.toAsyncIterableRuntime(stream, runtime)
  return { vm, close, run, iterate }
}
