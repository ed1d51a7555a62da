import type { Backend, PoolError, VmConfig } from "@capsa/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Vm from "../Vm.ts"
import { endedEarly, launchFailed, notReady } from "./poolErrors.ts"

/** Launches a machine and waits until `ready` has succeeded. */
export const spawn = <R>(
  config: VmConfig,
  ready: (vm: Vm.Vm) => Effect.Effect<unknown, unknown, R>,
  readyTimeout: Duration.Duration
): Effect.Effect<Vm.Vm, PoolError, Backend | Scope.Scope | R> =>
  Effect.gen(function* () {
    const vm = yield* Effect.mapError(Vm.launch(config), launchFailed)
    const isReady = Effect.mapError(Effect.timeout(ready(vm), readyTimeout), notReady)
    yield* Effect.raceFirst(isReady, Effect.flatMap(vm.wait, endedEarly))
    return vm
  })
