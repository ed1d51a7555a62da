/** A sandbox on QEMU's microvm, started by hand: its agent is at a port of virtio-serial, since that needs no vhost. */
import { type Channel, MachineError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Agent from "../../../packages/capsa/src/internal/agent/sandbox.ts"
import * as Session from "../../../packages/capsa/src/internal/agent/session.ts"
import * as Start from "../../../packages/capsa/src/internal/agent/start.ts"
import { folder } from "../lab/memory.ts"

const path = `${folder}/agent`

/** QEMU without what it can do without; `command` starts it. */
const argumentsOf = (command: ReadonlyArray<string>, boot: Boot) => [
  ...command,
  ...["-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,x-option-roms=off,auto-kernel-cmdline=on,isa-serial=on"],
  ...["-global", "virtio-mmio.force-legacy=false"],
  ...["-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", `${boot.memoryMib}M`],
  ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "null"],
  ...["-chardev", `socket,id=agent,path=${path}`],
  ...["-device", "virtio-serial-device,max_ports=2", "-device", "virtserialport,chardev=agent,nr=1,name=capsa.agent"],
  ...["-kernel", boot.kernel, "-initrd", boot.initrd, "-append", boot.cmdline]
]

export interface Boot {
  readonly kernel: string
  readonly initrd: string
  readonly cmdline: string
  readonly memoryMib: number
}

/** Takes what QEMU, which connects when it starts, sends; the channel is there when it has connected. */
const listen = Effect.gen(function* () {
  const opened = yield* Deferred.make<Channel>()
  const received = yield* Mailbox.make<Uint8Array>()
  const handlers = {
    open: (socket: Bun.Socket) => {
      const write = (bytes: Uint8Array) =>
        Effect.suspend(() => (socket.write(bytes) === bytes.length ? Effect.void : Effect.fail(full)))
      Deferred.unsafeDone(opened, Effect.succeed({ bytes: Mailbox.toStream(received), write }))
    },
    data: (_: Bun.Socket, bytes: Buffer) => void received.unsafeOffer(new Uint8Array(bytes)),
    close: () => void received.unsafeDone(Exit.void)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => Bun.listen({ unix: path, socket: handlers })),
    (server) => Effect.sync(() => server.stop(true))
  )
  return Deferred.await(opened)
})

/** What is written here, one greeting and two calls, a socket takes at once. */
const full = new MachineError({
  reason: "NotRunning",
  operation: "write",
  detail: "QEMU does not read.",
  hint: "Look at what it says on standard error."
})

const started = (command: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => Bun.spawn([...command], { stdin: "ignore", stdout: "inherit", stderr: "inherit" })),
    (child) => {
      child.kill("SIGKILL")
      return Effect.promise(() => child.exited)
    }
  )

/** Launches it, and gives a session with its agent, and what may be asked of it once it has started. */
export const launch = Effect.fnUntraced(function* (command: ReadonlyArray<string>, boot: Boot) {
  const connected = yield* listen
  yield* started(argumentsOf(command, boot))
  const session = yield* Session.make(yield* connected)
  return { start: Start.start(session, { name: "benchmark", network: false }), agent: Agent.make(session) }
})
