/** A machine as a QEMU process: booting it, and what can be asked of it. */
import {
  type BackendError,
  type BootPlan,
  type BootStage,
  type BootStageName,
  type Machine,
  MachineError,
  type StateError,
  type VmBootError,
  type VmExit
} from "@capsa/core"
import { startsFirmware } from "@capsa/core/BootPlan"
import { Native, Service } from "@capsa/native"
import * as Cgroup from "@capsa/state/Cgroup"
import * as DiskLocks from "@capsa/state/DiskLocks"
import * as Lease from "@capsa/state/Lease"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { connectionsOf, fromPlan, type Host } from "./arguments.ts"
import { boards, type Command } from "./board.ts"
import { fromStderr, hostFailure, limitExceeded, serviceFailed, spawnFailedForBoot } from "./bootError.ts"
import type { Connection } from "./connection.ts"
import { exitOf, type Facts } from "./exit.ts"
import type { Firmware, Missing } from "./firmware.ts"
import * as KernelImage from "./kernelImage.ts"
import * as Qmp from "./qmp.ts"
import type { QmpError } from "./qmpError.ts"
import type { Event } from "./qmpMessage.ts"
import * as Stats from "./stats.ts"
import { type Supervised, spawn } from "./supervised.ts"
import * as Variables from "./variables.ts"

// From its last event on, QEMU only tears itself down.
const teardownTimeout = "5 seconds"

// After QEMU is dead its sockets hold what they hold: this is for reading it.
const drainTimeout = "1 second"

/** Boots the machine of a plan with the program at `program`, and with devices of the native library, if that is there. */
export const boot = Effect.fn("Qemu.boot")(function* (
  plan: BootPlan,
  program: string,
  host: Host,
  native: Option.Option<Native.Native["Type"]>,
  firmware: Either.Either<Firmware, Missing>
): Effect.fn.Return<Machine, BackendError | StateError | VmBootError, Scope.Scope | FileSystem.FileSystem> {
  const startedAt = yield* Clock.currentTimeNanos
  if (!startsFirmware(plan)) yield* KernelImage.check(plan, host.architecture)
  const stages = yield* Ref.make<ReadonlyArray<BootStage>>([])
  const reached = (name: BootStageName) =>
    Effect.flatMap(Clock.currentTimeNanos, (now) =>
      Ref.update(stages, (before) => [...before, { name, atMs: Number(now - startedAt) / 1e6 }])
    )
  const names = connectionsOf(plan)
  const lease = yield* Lease.take(plan, "qemu")
  yield* DiskLocks.take(plan.disks)
  const ready = startsFirmware(plan) ? { ...plan, flash: yield* Variables.take(plan, firmware, lease.folder) } : plan
  const service = yield* serve(plan, lease.folder, native)
  const cgroup = yield* Cgroup.make(lease, plan.limits ?? {})
  const process = yield* Effect.mapError(
    spawn([program, ...fromPlan(ready, host, service)], { connections: names.length, cgroup: cgroup?.path }),
    spawnFailedForBoot
  )
  yield* lease.noteProcess(process.pid)
  const machine = yield* supervise(process, cgroup, service)
  yield* Effect.gen(function* () {
    // The greeting comes from a QEMU that runs, the first answer from one that has built the machine and loaded the guest.
    yield* machine.qmp.greeting
    yield* reached("created")
    yield* machine.qmp.execute("qmp_capabilities", Schema.Unknown)
    yield* reached("loaded")
    yield* machine.qmp.execute("cont", Schema.Unknown)
    yield* reached("started")
  }).pipe(
    Effect.catchAll((error) =>
      Effect.gen(function* () {
        const stage = (yield* Ref.get(stages)).at(-1)?.name
        // A QEMU that hangs up is about to end, and has said why.
        const end = error.reason === "Closed" ? yield* Effect.timeoutOption(process.exit, drainTimeout) : Option.none()
        yield* machine.killed
        if ((yield* machine.exit)._tag === "OutOfMemory") return yield* limitExceeded("memory", plan, stage)
        return yield* error.reason === "Closed"
          ? fromStderr(yield* process.stderr, plan, stage, Option.getOrUndefined(end))
          : hostFailure(error.detail, stage)
      })
    )
  )
  const reachedStages = yield* Ref.get(stages)
  const fileSystem = yield* FileSystem.FileSystem
  return yield* handle({ ...machine, process, service, plan, host, stages: reachedStages, fileSystem })
})

/** Without the library its features are unsupported, and no plan asks for them. */
const serve = (plan: BootPlan, folder: string, native: Option.Option<Native.Native["Type"]>) =>
  Option.isNone(native) || Service.deviceCount(plan) === 0
    ? Effect.succeed(undefined)
    : Effect.mapError(native.value.serve(plan, Native.pathsIn(folder, plan)), serviceFailed)

/** Follows the monitor, the process and what is served to it to their end. */
const supervise = Effect.fnUntraced(function* (
  process: Supervised,
  cgroup: Cgroup.Cgroup | undefined,
  service: Service.Service | undefined
) {
  const facts = yield* Ref.make<Facts>({})
  const exit = yield* Deferred.make<VmExit>()
  const note = (more: Facts) => Ref.update(facts, (before) => ({ ...more, ...before }))
  const kill = (why: Facts) => Effect.zipRight(note(why), process.kill)
  const [monitor] = process.connections
  if (monitor === undefined) return yield* Effect.dieMessage("QEMU was started without a monitor")

  const qmp: Qmp.Qmp = yield* Qmp.make(monitor, (event) => Effect.asVoid(onEvent(event)))
  const onEvent = (event: Event): Effect.Effect<unknown> => {
    switch (event.event) {
      case "GUEST_PANICKED":
        return note({ panicked: true })
      case "SHUTDOWN":
        return Effect.zipRight(note({ shutdown: String(event.data?.["reason"]) }), forkIn(endInTime))
      case "STOP":
        return forkIn(lookWhyStopped)
      default:
        return Effect.void
    }
  }
  const scope = yield* Effect.scope
  const forkIn = (effect: Effect.Effect<unknown>) => Effect.forkIn(effect, scope)
  const endInTime = Effect.zipRight(Effect.timeoutOption(process.exit, teardownTimeout), process.kill)
  const lookWhyStopped = Effect.matchEffect(qmp.execute("query-status", RunState), {
    onFailure: () => Effect.void,
    onSuccess: ({ status }) =>
      hopeless.has(status) ? kill({ failure: `QEMU stopped the machine: ${status}.` }) : Effect.void
  })

  yield* Effect.forkScoped(
    Effect.flatMap(qmp.ended, (error) =>
      error.reason === "Garbage" ? kill({ failure: error.detail }) : forkIn(endInTime)
    )
  )
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      const end = yield* process.exit
      yield* Effect.timeoutOption(qmp.ended, drainTimeout)
      // What programs of the host had with the guest goes with it.
      if (service !== undefined) yield* Effect.timeoutOption(service.end, drainTimeout)
      if (cgroup !== undefined && (yield* cgroup.outOfMemory)) yield* note({ outOfMemory: true })
      yield* Deferred.succeed(exit, exitOf(yield* Ref.get(facts), end, yield* process.stderr))
    })
  )
  const killed = kill({ killed: true })
  // A QEMU that lives on without its devices: the backend was closed before the machine's scope.
  if (service !== undefined)
    yield* Effect.forkScoped(
      Effect.raceFirst(
        Effect.zipRight(service.ended, Effect.zipRight(Effect.sleep(teardownTimeout), killed)),
        process.exit
      )
    )
  // Runs before the fibers above are interrupted, so that whoever waits for the exit gets it.
  yield* Effect.addFinalizer(() =>
    Effect.zipRight(killed, Effect.timeoutOption(Effect.interruptible(Deferred.await(exit)), teardownTimeout))
  )
  return { qmp, exit, killed }
})

const RunState = Schema.Struct({ status: Schema.String })

/** Run states that a machine does not leave by itself, and that nobody asked for. */
const hopeless: ReadonlySet<string> = new Set(["internal-error", "io-error"])

interface Parts {
  readonly qmp: Qmp.Qmp
  readonly exit: Deferred.Deferred<VmExit>
  readonly killed: Effect.Effect<void>
  readonly process: Supervised
  readonly service: Service.Service | undefined
  readonly plan: BootPlan
  readonly host: Host
  readonly stages: ReadonlyArray<BootStage>
  readonly fileSystem: FileSystem.FileSystem
}

const handle = Effect.fnUntraced(function* (parts: Parts) {
  const { exit, host, killed, plan, process, qmp, service, stages } = parts
  const connections = connectionsOf(plan).flatMap((name, index) => {
    const connection = process.connections[index]
    return connection === undefined ? [] : [{ name, connection }]
  })
  const outputs = connections
    .filter(({ name }) => name === "console" || name === "early")
    .map(({ connection }) => connection)
  const agent = connections.find(({ name }) => name === "agent")?.connection
  const input = connections.find(({ name }) => name === "console")?.connection
  if (input === undefined) return yield* Effect.dieMessage("QEMU was started without a console")
  const consoleBytes = yield* Ref.make(0)
  const counters = yield* Stats.make(qmp, plan)

  const running = Effect.flatMap(Deferred.isDone(exit), (ended) => (ended ? Effect.fail(notRunning()) : Effect.void))
  const command = ({ arguments: arguments_, name }: Command) =>
    running.pipe(
      Effect.zipRight(qmp.execute(name, Schema.Unknown, arguments_)),
      Effect.catchTag("QmpError", failed),
      Effect.asVoid
    )
  return {
    console: Stream.tap(merged(outputs), (bytes) => Ref.update(consoleBytes, (count) => count + bytes.byteLength)),
    consoleLost: Effect.succeed(0),
    write: (bytes) => Effect.mapError(Effect.zipRight(service?.running ?? Effect.void, input.write(bytes)), notRunning),
    agent: agent && { bytes: agent.bytes, write: (bytes) => Effect.mapError(agent.write(bytes), notRunning) },
    stages: Stream.concat(Stream.fromIterable(stages), Stream.drain(Stream.fromEffect(Deferred.await(exit)))),
    powerOff:
      plan.discovery === "firmware"
        ? command(boards[host.architecture].powerButton)
        : Effect.zipRight(running, noPowerButton),
    kill: killed,
    pause: Effect.zipRight(service?.pause ?? Effect.void, command({ name: "stop" })),
    resume: Effect.zipRight(service?.resume ?? Effect.void, command({ name: "cont" })),
    exit: Deferred.await(exit),
    network: service?.network,
    vsockPath: service?.vsockPath,
    stats: running.pipe(
      Effect.zipRight(
        Effect.all({
          residentBytes: residentBytes(parts.fileSystem, process.pid),
          consoleBytes: Ref.get(consoleBytes),
          counted: counters,
          served: service?.stats ?? Effect.succeed({})
        })
      ),
      Effect.map(({ counted, served, ...others }) => ({ ...others, ...counted, ...served })),
      Effect.catchTag("QmpError", failed)
    )
  } satisfies Machine
})

const merged = (connections: ReadonlyArray<Connection>): Stream.Stream<Uint8Array> =>
  Stream.mergeAll(
    connections.map(({ bytes }) => bytes),
    { concurrency: "unbounded", bufferSize: 1 }
  )

/** Resident memory of the whole process: QEMU's own pages and translated code included. Absent where there is no /proc. */
const residentBytes = (fileSystem: FileSystem.FileSystem, pid: number): Effect.Effect<number | undefined> =>
  fileSystem.readFileString(`/proc/${pid}/status`).pipe(
    Effect.map((status) => /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]),
    Effect.map((kib) => (kib === undefined ? undefined : Number(kib) * 1024)),
    Effect.option,
    Effect.map(Option.getOrUndefined)
  )

const notRunning = () =>
  new MachineError({
    reason: "NotRunning",
    detail: "The machine has ended",
    hint: "Launch another one; `exit` says how this one ended."
  })

const noPowerButton = new MachineError({
  reason: "Unsupported",
  field: "discovery",
  detail: "A machine without firmware tables has no power button",
  hint: 'Run `poweroff` in the guest, kill the machine, or boot with discovery "firmware".'
})

const failed = (error: QmpError): Effect.Effect<never, MachineError> =>
  error.reason === "Closed"
    ? Effect.fail(notRunning())
    : Effect.fail(
        new MachineError({
          reason: "HostFailure",
          operation: "QMP",
          detail: error.detail,
          hint: "If QEMU hangs, kill the machine: that always works.",
          cause: error
        })
      )
