/** Finding a detached machine, and asking its supervisor. */
import type { SandboxError, StateError } from "@capsa/core"
import type { MachineRecord } from "@capsa/state/MachineRecord"
import * as Machines from "@capsa/state/Machines"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Socket from "@effect/platform/Socket"
import * as BunSocket from "@effect/platform-bun/BunSocket"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import type { Sandbox } from "capsa"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TargetError } from "../CliError.ts"
import type { ProcessError, Spawn } from "../Process.ts"
import { Control, socketOf } from "./Control.ts"

/** The machine that has this name or id, or an id that begins so. */
export const find = Effect.fn("find")(function* (
  target: string
): Effect.fn.Return<MachineRecord, StateError | TargetError> {
  const alive = yield* Machines.alive
  const named = alive.filter(({ id, name }) => name === target || id === target)
  const found = named.length > 0 ? named : alive.filter(({ id }) => target !== "" && id.startsWith(target))
  const [machine, ...others] = found
  if (machine === undefined) {
    const detail = `No machine ${target} is alive.`
    return yield* new TargetError({ reason: "NoSuchMachine", target, detail, hint: "`capsa ps` lists those that are." })
  }
  if (others.length > 0) {
    const detail = `${target} may be ${found.map(({ id, name }) => `${name} (${id})`).join(" or ")}.`
    return yield* new TargetError({ reason: "Ambiguous", target, detail, hint: "Give the whole id." })
  }
  return machine
})

type Client = RpcClient.FromGroup<typeof Control, RpcClientError>

/** A detached machine, and what to ask its supervisor with. @category models */
export interface Reached {
  readonly machine: MachineRecord
  readonly client: Client
}

/** Connects to the supervisor of a machine, until the scope closes. */
export const reach = Effect.fn("reach")(function* (target: string) {
  const fs = yield* FileSystem.FileSystem
  const machine = yield* find(target)
  const path = yield* socketOf(machine.id)
  if (!(yield* Effect.orElseSucceed(fs.exists(path), () => false))) return yield* notDetached(target, machine)
  const connection = RpcClient.layerProtocolSocket().pipe(
    Layer.provide(BunSocket.layerNet({ path })),
    Layer.provide(RpcSerialization.layerMsgPack)
  )
  const context = yield* Effect.mapError(Layer.build(connection), () => lost(machine))
  const client = yield* Effect.provideService(
    RpcClient.make(Control, { disableTracing: true }),
    RpcClient.Protocol,
    Context.get(context, RpcClient.Protocol)
  )
  return { machine, client } satisfies Reached
})

const notDetached = (target: string, { owner }: MachineRecord) =>
  new TargetError({
    reason: "NotDetached",
    target,
    detail: `${target} belongs to the process ${owner}, which launched it for itself.`,
    hint: "Only machines of `capsa run --detach` can be reached from outside."
  })

const lost = ({ name }: MachineRecord) =>
  new TargetError({
    reason: "SupervisorLost",
    target: name,
    detail: `The process that held ${name} has ended, and the machine with it.`,
    hint: "Somebody killed it, or the host ran out of memory: `dmesg` tells. `capsa cleanup` removes what is left."
  })

/** A message that cannot be sent is a defect to the library. */
const isUnsent = (cause: Cause.Cause<unknown>): boolean => Chunk.some(Cause.defects(cause), Socket.isSocketError)

/** The answer to a question; that none comes any more is the supervisor's end. */
export const answer = <A>(
  { machine }: Reached,
  question: Effect.Effect<A, SandboxError | RpcClientError>
): Effect.Effect<A, SandboxError | TargetError> =>
  question.pipe(
    Effect.catchSomeCause((cause) => (isUnsent(cause) ? Option.some(lost(machine)) : Option.none())),
    Effect.catchTag("RpcClientError", () => lost(machine))
  )

/** The same for an answer that comes in pieces. */
export const answers = <A>(
  { machine }: Reached,
  pieces: Stream.Stream<A, SandboxError | RpcClientError>
): Stream.Stream<A, SandboxError | TargetError> =>
  pieces.pipe(
    Stream.catchSomeCause((cause) => (isUnsent(cause) ? Option.some(Stream.fail(lost(machine))) : Option.none())),
    Stream.catchTag("RpcClientError", () => lost(machine))
  )

/** Commands in the guest of a detached machine. */
export const spawnBy =
  (reached: Reached): Spawn =>
  (start) =>
    Effect.gen(function* () {
      const { client, machine } = reached
      const started = yield* Deferred.make<number, ProcessError>()
      const exit = yield* Deferred.make<Sandbox.ProcessExit, ProcessError>()
      yield* answers(reached, client.spawn(start)).pipe(
        Stream.runForEach((event) =>
          event._tag === "Started" ? Deferred.succeed(started, event.process) : Deferred.succeed(exit, event)
        ),
        Effect.zipRight(lost(machine)),
        Effect.catchAllCause((cause) =>
          Effect.zipRight(Deferred.failCause(started, cause), Deferred.failCause(exit, cause))
        ),
        Effect.forkScoped
      )
      const process = yield* Deferred.await(started)
      return {
        stdout: answers(reached, client.output({ process, of: "stdout" })),
        stderr: answers(reached, client.output({ process, of: "stderr" })),
        stdin: {
          write: (bytes) => answer(reached, client.write({ process, bytes })),
          end: answer(reached, client.end({ process }))
        },
        resize: (size) => answer(reached, client.resize({ process, size })),
        exit: Deferred.await(exit)
      }
    })
