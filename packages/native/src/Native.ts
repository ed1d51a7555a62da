/** The machines of the C library as Effect sees them. */
import { join } from "node:path"
import type { BootPlan, KernelPlan, Machine, NetworkPlan } from "@capsa/core"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { attend, type Turn } from "./internal/attend.ts"
import { type Inbox, makeInbox, type ProbeRecord, receive } from "./internal/inbox.ts"
import {
  consoleKind,
  discoveryKind,
  diskFlag,
  machineFlag,
  makeDrained,
  makeErrorBuffer,
  networkMode,
  shareCache,
  shareFlag
} from "./internal/layout.ts"
import { makeMachine } from "./internal/machine.ts"
import { type NicRecord, writeMachineConfig } from "./internal/machineConfig.ts"
import { makeNetworks } from "./internal/networks.ts"
import { policyProtocol, writePolicy } from "./internal/policy.ts"
import { makeService, type Service, type ServicePlan } from "./internal/service.ts"
import { type Library, open } from "./Library.ts"
import { fromRecord, NativeError } from "./NativeError.ts"

/** What a run of guest kernel code told about the hypervisor. @category models */
export interface Verdict {
  readonly kind: "hardware" | "emulated"
  /** Time one guest kernel instruction took, in nanoseconds. */
  readonly instructionNs: number
  /** On arm64, the version of the interrupt controller that machines get; 0 elsewhere. */
  readonly gic: number
}

/** Where a machine keeps what has a name on disk. @category models */
export interface MachinePaths {
  /** Of the Unix socket behind vsock, for a machine that has it: at most 96 bytes. The library makes and removes it. */
  readonly vsock?: string | undefined
}

/** The same for a machine of another monitor. @category models */
export interface ServicePaths extends MachinePaths {
  /** What the paths of the sockets for its devices begin with; a number follows. */
  readonly devices: string
}

/** The paths of a plan's machine, whose folder this is. @category constructors */
export const pathsIn = (folder: string, plan: Pick<BootPlan, "vsock">): ServicePaths => ({
  devices: join(folder, "device"),
  ...(plan.vsock && { vsock: join(folder, "vsock") })
})

/** Output that the library keeps for one machine until it is drained. */
const consoleBytes = 256 * 1024

/** What ephemeral disks are given may be large, and `/tmp` is often memory. */
const overlayFolder = Bun.env["TMPDIR"] ?? "/var/tmp"

/** Output taken by one call. */
const drainBytes = 64 * 1024

/** Calls in a row before other fibers get their turn. */
const drainsAtOnce = 64

/**
 * The library behind `capsa.h`, whichever hypervisor it wraps on this platform.
 *
 * @category tags
 */
export class Native extends Context.Tag("@capsa/native/Native")<
  Native,
  {
    /** Runs guest code and measures it. Fails where no machine can be created. */
    readonly probe: Effect.Effect<Verdict, NativeError>
    /** Starts a machine; succeeds when its first vCPU enters the guest. It is killed and freed with the scope. */
    readonly boot: (plan: KernelPlan, paths?: MachinePaths) => Effect.Effect<Machine, NativeError, Scope.Scope>
    /** Makes the shares, network and vsock device of a plan and serves them to a machine of another monitor by vhost-user. */
    readonly serve: (plan: ServicePlan, paths: ServicePaths) => Effect.Effect<Service, NativeError, Scope.Scope>
  }
>() {}

const memoryBytes = (plan: Pick<BootPlan, "memoryMib">) => BigInt(plan.memoryMib) * 1048576n

const configOf = (plan: KernelPlan, network: number, { vsock = "" }: MachinePaths) =>
  writeMachineConfig({
    memoryBytes: memoryBytes(plan),
    cpus: plan.cpus,
    discovery: discoveryKind[plan.discovery],
    console: consoleKind[plan.console],
    consoleBytes,
    kernel: plan.kernel,
    initrd: plan.initrd ?? "",
    cmdline: plan.cmdline,
    disks: plan.disks.map(diskOf),
    shares: plan.shares.map(shareOf),
    nics: nicsOf(plan, network),
    flags: plan.balloon ? machineFlag.balloon : 0,
    vsock
  })

/** A service has what the other monitor lacks. */
const serviceConfigOf = (plan: ServicePlan, network: number, { vsock = "" }: MachinePaths) =>
  writeMachineConfig({
    memoryBytes: memoryBytes(plan),
    cpus: 0,
    discovery: 0,
    console: 0,
    consoleBytes: 0,
    kernel: "",
    initrd: "",
    cmdline: "",
    disks: [],
    shares: plan.shares.map(shareOf),
    nics: nicsOf(plan, network),
    flags: 0,
    vsock
  })

const diskOf = (disk: BootPlan["disks"][number]) => ({
  flags: (disk.readOnly ? diskFlag.readOnly : 0) | (disk.blockDevice ? diskFlag.blockDevice : 0),
  path: disk.path,
  serial: disk.serial,
  overlay: disk.ephemeral ? overlayFolder : ""
})

const shareOf = (share: BootPlan["shares"][number]) => ({
  flags: (share.mode === "ro" ? shareFlag.readOnly : 0) | (share.uid === undefined ? 0 : shareFlag.owner),
  cache: shareCache[share.cache],
  owner: share.uid ?? 0,
  path: share.host,
  tag: share.tag
})

const nicsOf = ({ network }: Pick<BootPlan, "network">, handle: number): ReadonlyArray<NicRecord> =>
  network === undefined ? [] : [nicOf(network, handle)]

const nicOf = (plan: NetworkPlan, network: number): NicRecord => {
  const nic = {
    mode: networkMode[plan.mode],
    mac: Uint8Array.from(plan.mac.split(":"), (byte) => Number.parseInt(byte, 16)),
    network,
    address: "",
    device: "",
    forwards: [],
    dnsServers: "",
    dnsSearch: "",
    policy: new Uint8Array()
  }
  switch (plan.mode) {
    case "user":
      return {
        ...nic,
        forwards: plan.forwards.map((forward) => ({ ...forward, protocol: policyProtocol[forward.protocol] })),
        dnsServers: plan.dnsServers.join(" "),
        dnsSearch: plan.dnsSearch.join(" "),
        policy: writePolicy(plan.policy)
      }
    case "tap":
      return { ...nic, device: plan.device }
    case "switch":
      return { ...nic, address: plan.address ?? "" }
  }
}

/** Gives every machine that has something its turn, until none has or others should have theirs. */
const makeDrain = ({ call, instance }: Library, inboxes: Map<number, Inbox>) => {
  const drained = makeDrained()
  const output = new Uint8Array(drainBytes)
  return (): Turn => {
    let left: Turn = "nothing"
    for (let calls = 0; calls < drainsAtOnce; calls++) {
      call.capsa_drain(instance, drained.bytes, output, output.byteLength)
      const machine = drained.machine()
      if (machine === 0) return left
      const bytes = drained.consoleBytes()
      if (bytes > 0) left = "output"
      const inbox = inboxes.get(machine)
      if (inbox !== undefined) receive(inbox, output.slice(0, bytes), drained.consoleLost(), drained.events())
    }
    return "more"
  }
}

/** Gives a machine up and waits until it is gone. Once is enough: the layer may have been quicker than the machine's scope. */
const release = ({ call, instance }: Library, inbox: Inbox) =>
  Effect.suspend(() => {
    if (!inbox.gone) call.capsa_release(instance, inbox.handle)
    return Deferred.await(inbox.released)
  })

const closed = new NativeError({ status: "State", detail: "the layer of the native library is closed" })

/** A call that gives a machine its number. */
type Begin = (handle: Uint32Array, error: Uint8Array) => number

/**
 * A machine's inbox, from its number's birth to its release. The number is entered in the same step that gets it, so
 * that no report of it can find nobody.
 */
const makeAdopt = (library: Library, inboxes: Map<number, Inbox>, isClosing: () => boolean) => {
  const enter = (begin: Begin, inboxOf: (handle: number) => Inbox) =>
    Effect.suspend(() => {
      if (isClosing()) return Effect.fail(closed)
      const handle = new Uint32Array(1)
      const error = makeErrorBuffer()
      if (begin(handle, error.bytes) !== 0) return Effect.fail(fromRecord(error.read()))
      const inbox = inboxOf(handle[0] ?? 0)
      inboxes.set(inbox.handle, inbox)
      return Effect.succeed(inbox)
    })
  const leave = (inbox: Inbox) =>
    Effect.zipRight(
      release(library, inbox),
      Effect.sync(() => inboxes.delete(inbox.handle))
    )
  return (begin: Begin) =>
    Effect.acquireRelease(
      Effect.flatMap(makeInbox, (inboxOf) => enter(begin, inboxOf)),
      leave
    )
}

const verdictOf = ({ error, gic, kind, value }: ProbeRecord): Effect.Effect<Verdict, NativeError> =>
  kind === "hardware" || kind === "emulated"
    ? Effect.succeed({ kind, gic, instructionNs: value / 1000 })
    : Effect.fail(fromRecord(error))

/** @category layers */
export const layer: Layer.Layer<Native, NativeError> = Layer.scoped(
  Native,
  Effect.gen(function* () {
    const library = yield* open
    const { call, instance } = library
    const inboxes = new Map<number, Inbox>()
    let closing = false
    const networks = makeNetworks(library)
    const adopt = makeAdopt(library, inboxes, () => closing)
    yield* Effect.forkScoped(attend(library.wakeFd, makeDrain(library, inboxes)))
    // Machines may live in a wider scope than this layer: they end with it all the same, while somebody still drains.
    yield* Effect.addFinalizer(() => {
      closing = true
      return Effect.forEach([...inboxes.values()], (inbox) => release(library, inbox), {
        concurrency: "unbounded"
      }).pipe(Effect.zipRight(networks.closeAll))
    })
    return {
      probe: Effect.scoped(
        adopt((handle, error) => call.capsa_probe(instance, handle, error)).pipe(
          Effect.flatMap((inbox) => Deferred.await(inbox.probed)),
          Effect.flatMap(verdictOf)
        )
      ).pipe(Effect.withSpan("Native.probe")),
      boot: Effect.fn("Native.boot")(function* (plan: KernelPlan, paths: MachinePaths = {}) {
        const config = configOf(plan, yield* networks.join(plan.network), paths)
        const inbox = yield* adopt((handle, error) => call.capsa_launch(instance, config, handle, error))
        yield* Deferred.await(inbox.started)
        return makeMachine(library, inbox, plan, paths)
      }),
      serve: Effect.fn("Native.serve")(function* (plan: ServicePlan, paths: ServicePaths) {
        const config = serviceConfigOf(plan, yield* networks.join(plan.network), paths)
        const path = new TextEncoder().encode(`${paths.devices}\0`)
        const inbox = yield* adopt((handle, error) => call.capsa_serve(instance, config, path, handle, error))
        yield* Deferred.await(inbox.started)
        return yield* Effect.mapError(makeService(library, inbox, plan, paths), () => closed)
      })
    }
  })
)
