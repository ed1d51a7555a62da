/** Holds one machine for other processes, from its launch to its end. */
import type { Backend, VmError } from "@capsa/core"
import { isBuiltin } from "@capsa/core/BootConfig"
import { Progress } from "@capsa/guest/Progress"
import { Sandbox, Vm } from "capsa"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as MachineReport from "../MachineReport.ts"
import { layerOf } from "../runMachine.ts"
import type { News, Order } from "./Handover.ts"
import { type Held, serve } from "./Serve.ts"

/** The built-in guest has an agent, and so has one that is to run a command. */
const launch = (config: Order["config"]): Effect.Effect<Held, VmError, Backend | Scope.Scope> =>
  isBuiltin(config.boot) || config.main !== undefined
    ? Effect.map(Sandbox.launch(config), (sandbox) => ({ vm: sandbox, sandbox }))
    : Effect.map(Vm.launch(config), (vm) => ({ vm, sandbox: undefined }))

/** Says how far it is, and that the machine is there; done when that has ended. */
export const supervise = Effect.fn("supervise")(
  function* ({ config }: Order, tell: (news: News) => Effect.Effect<void>) {
    const progress = { stage: (phrase: string) => tell({ _tag: "Stage", phrase }) }
    const held = yield* Effect.provideService(launch(config), Progress, progress)
    const allGone = yield* serve(held)
    yield* tell({ _tag: "Ready", machine: yield* MachineReport.of(held.vm) })
    yield* held.vm.wait
    yield* allGone
  },
  Effect.scoped,
  (supervision, { backend }) => Effect.provide(supervision, layerOf(backend))
)
