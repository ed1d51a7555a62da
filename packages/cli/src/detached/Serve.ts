/** Answers what other processes ask of a machine. */
import { basename, join } from "node:path"
import { SandboxError, StateError } from "@capsa/core"
import * as FileSystem from "@effect/platform/FileSystem"
import type { SocketServerError } from "@effect/platform/SocketServer"
import * as BunSocketServer from "@effect/platform-bun/BunSocketServer"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import type { Sandbox, Vm } from "capsa"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type Process, spawnBy } from "../Process.ts"
import { Control, socketOf } from "./Control.ts"

/** A machine, and the agent in its guest if there is one. @category models */
export interface Held {
  readonly vm: Vm.Vm
  readonly sandbox: Sandbox.Sandbox | undefined
}

const noAgent = new SandboxError({
  reason: "Unsupported",
  detail:
    "The machine was launched with a kernel of its own, or firmware, and no command: nothing in its guest could do this.",
  hint: "Launch it with the built-in guest; or name a command after --, if the initrd has capsa's agent as its /init."
})

const noProcess = new SandboxError({
  reason: "InputClosed",
  detail: "The process has ended, or its connection has.",
  hint: "Start it again."
})

/** A copy goes into the folder that has the target's name, if there is one, as `cp -r` has it. */
const inside = (target: string, source: string, isFolder: boolean) =>
  isFolder ? join(target, basename(source)) : target

const handlers = ({ sandbox, vm }: Held) =>
  Control.toLayer(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const agent = sandbox === undefined ? noAgent : Effect.succeed(sandbox)
      const processes = new Map<number, Process<SandboxError>>()
      let last = 0
      const known = (number: number) => Effect.orElseFail(Effect.fromNullable(processes.get(number)), () => noProcess)
      const remember = (process: Process<SandboxError>) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            last++
            processes.set(last, process)
            return last
          }),
          (number) => Effect.sync(() => processes.delete(number))
        )
      return {
        spawn: (start) =>
          Stream.unwrapScoped(
            Effect.gen(function* () {
              const process = yield* spawnBy(yield* agent)(start)
              const number = yield* remember(process)
              const ended = Effect.map(process.exit, (exit) => ({ _tag: "Ended", ...exit }) as const)
              // Whoever asked reads on until it has all that the process said.
              return Stream.make({ _tag: "Started", process: number } as const).pipe(
                Stream.concat(Stream.fromEffect(ended)),
                Stream.concat(Stream.never)
              )
            })
          ),
        output: ({ of, process }) => Stream.unwrap(Effect.map(known(process), (process) => process[of])),
        write: ({ bytes, process }) => Effect.flatMap(known(process), ({ stdin }) => stdin.write(bytes)),
        end: ({ process }) => Effect.flatMap(known(process), ({ stdin }) => stdin.end),
        resize: ({ process, size }) => Effect.flatMap(known(process), ({ resize }) => resize(size)),
        copyIn: Effect.fnUntraced(function* ({ guest, host }) {
          const { copyIn, files } = yield* agent
          const isFolder = yield* files.stat(guest).pipe(
            Effect.map(({ type }) => type === "folder"),
            Effect.catchIf(
              ({ errno }) => errno === "ENOENT",
              () => Effect.succeed(false)
            )
          )
          return yield* copyIn(host, inside(guest, host, isFolder))
        }),
        copyOut: Effect.fnUntraced(function* ({ guest, host }) {
          const { copyOut } = yield* agent
          const isFolder = yield* Effect.orElseSucceed(
            Effect.map(fs.stat(host), ({ type }) => type === "Directory"),
            () => false
          )
          return yield* copyOut(guest, inside(host, guest, isFolder))
        }),
        logs: ({ follow }) =>
          follow
            ? vm.console.chunksFrom(0)
            : Stream.fromEffect(Effect.map(vm.console.history, (bytes) => ({ bytes, lost: 0 }))),
        stop: ({ graceMs: grace }) =>
          grace === undefined ? vm.kill : sandbox === undefined ? vm.stop({ grace }) : sandbox.shutdown({ grace })
      }
    })
  )

/** How long those who ask may take to go when the machine has ended. */
const leavingTime = "5 seconds"

/** Listens until the scope closes. Gives what waits until nobody is connected any more. */
export const serve = Effect.fn("serve")(function* (held: Held) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* socketOf(held.vm.id)
  const server = RpcServer.layer(Control, { disableTracing: true }).pipe(
    Layer.provide(handlers(held)),
    Layer.provideMerge(RpcServer.layerProtocolSocketServer),
    Layer.provide(BunSocketServer.layer({ path })),
    Layer.provide(RpcSerialization.layerMsgPack)
  )
  const context = yield* Effect.mapError(Layer.build(server), (error) => cannotListen(path, error))
  yield* Effect.orDie(fs.chmod(path, 0o600))
  const { clientIds } = Context.get(context, RpcServer.Protocol)
  return clientIds.pipe(
    Effect.repeat({ until: ({ size }) => size === 0, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutOption(leavingTime),
    Effect.asVoid
  )
})

const cannotListen = (path: string, { cause }: SocketServerError) =>
  new StateError({
    reason: "Unusable",
    subject: path,
    operation: "listen",
    detail: "The supervisor cannot listen on its socket",
    hint: "See that the state folder (CAPSA_STATE_DIR) is on a file system with room that has sockets.",
    cause
  })
