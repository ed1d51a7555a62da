/**
 * What does a machine's life cost whoever asks for one: until it runs, until its shell asks for a command, for one command,
 * and until nothing of it is left? On every backend that works on this host in turn, with the same guest, in real time.
 */
import * as GuestImages from "@capsa/guest/GuestImages"
import { type Backend, type BackendError, Kvm, Qemu, Vm } from "capsa"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { compare, row } from "./report.ts"

const rounds = 20

/** Rounds before those that count: code is compiled and files are cached in them. */
const warmUpRounds = 2

const ours = "KVM"
const peer = "QEMU KVM"
const backends = { [ours]: Kvm.layer, [peer]: Qemu.layer({ accel: "kvm" }), "QEMU TCG": Qemu.layer() }

const parts = ["spawn", "console", "command", "clean-up"] as const
type Life = Readonly<Record<(typeof parts)[number], number>>

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([time, value]) => [Duration.toMillis(time), value] as const)

const live = (boot: { readonly kernel: string; readonly initrd: string }) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const [spawn, vm] = yield* timed(Scope.extend(Vm.launch({ boot, memory: 128 }), scope))
    const [console] = yield* timed(vm.console.expect("capsa# ", { timeout: "2 minutes" }))
    const [command] = yield* timed(vm.console.run("true", { timeout: "1 minute" }))
    const [cleanUp] = yield* timed(Scope.close(scope, Exit.void))
    return { spawn, console, command, "clean-up": cleanUp } satisfies Life
  }).pipe(Effect.scoped)

/** A backend, and the lives of its machines. */
interface Side {
  readonly name: string
  readonly context: Context.Context<Backend.Backend>
  readonly lives: Array<Life>
}

/** None if the backend does not work here. */
const sideOf = (name: string, layer: Layer.Layer<Backend.Backend, BackendError>) =>
  Layer.build(layer).pipe(
    Effect.map((context): ReadonlyArray<Side> => [{ name, context, lives: [] }]),
    Effect.catchAll(({ message }) => Effect.as(Effect.logWarning(`${name} is left out: ${message}`), []))
  )

export const rows = Effect.scoped(
  Effect.gen(function* () {
    const { bzImage: kernel, initrd } = yield* GuestImages.tiny
    const sides = (yield* Effect.forEach(Object.entries(backends), ([name, layer]) => sideOf(name, layer))).flat()
    for (let round = -warmUpRounds; round < rounds; round++) {
      for (const { context, lives } of sides) {
        const life = yield* Effect.provide(live({ kernel, initrd }), context)
        if (round >= 0) lives.push(life)
      }
    }
    const samplesOf = (side: Side, part: (typeof parts)[number]) => side.lives.map((life) => life[part])
    const other = sides.find(({ name }) => name === peer)
    return sides.flatMap((side) =>
      parts.map((part) => {
        const title = `${part} (${side.name})`
        const samples = samplesOf(side, part)
        return side.name === ours && other !== undefined
          ? compare(title, "ms", samples, peer, samplesOf(other, part))[0]
          : row(title, "ms", samples)
      })
    )
  })
)
