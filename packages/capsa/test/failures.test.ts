/** Every reason that needs no guest, from its real cause. */
import { expect, test } from "bun:test"
import { chmodSync, chownSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Backend, type BackendError, VmBootError, type VmBootErrorReason } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import * as KernelCmdline from "@capsa/core/KernelCmdline"
import { Kvm } from "@capsa/kvm"
import { Qemu } from "@capsa/qemu"
import { DiskLocks, StateFolder } from "@capsa/state"
import { Simulated } from "@capsa/testing"
import {
  type Cause,
  type OfHost,
  ofAgent,
  ofGuests,
  ofLimits,
  ofMonitor,
  ofVsock,
  produces
} from "@capsa/testing/failures"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import * as Backends from "../src/Backend.ts"
import { images } from "../src/BuiltinGuest.ts"
import { select } from "../src/internal/selection.ts"
import * as Vm from "../src/Vm.ts"
import * as VmPool from "../src/VmPool.ts"
import * as VsockPeer from "./fixtures/vsockPeer.ts"

const { error: kvmError } = await Effect.runPromise(Kvm.probe)
const notEmulated = kvmError?.reason === "Emulated" ? undefined : `KVM here is ${kvmError?.reason ?? "no emulation"}`
const namespace = ["unshare", "--user", "--map-root-user", "--mount"]
const noNamespace =
  Bun.which("unshare") !== null && Bun.spawnSync([...namespace, "true"]).success
    ? undefined
    : "this host allows no user namespaces"

const scratch = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(
  Effect.provide(BunFileSystem.layer)
)

const withConfig = (...entries: ReadonlyArray<readonly [name: string, value: string]>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(entries)))

const build = (layer: Layer.Layer<Backend, BackendError>) => Layer.build(layer)

/** What the KVM backend says where the host's device is so. */
const onHostWhereKvmIs = (state: "missing" | "unusable" | "denied") =>
  Effect.gen(function* () {
    const fixture = (name: string) => join(import.meta.dir, "fixtures", name)
    const folder = yield* scratch
    const command = [process.execPath, fixture("kvmFailure.ts")]
    const child = Bun.spawnSync([...namespace, "sh", fixture("hostWithout.sh"), folder, state, ...command])
    return yield* yield* Effect.orDie(Schema.decode(Schema.parseJson(Failure.Failure))(child.stdout.toString()))
  })

/** The native library with one field under another name. */
const mismatched = Effect.gen(function* () {
  const copy = join(yield* scratch, "libcapsa.so")
  const library = yield* Effect.promise(() =>
    Bun.file(join(import.meta.dir, "../../../native/build/libcapsa.so")).bytes()
  )
  const bytes = Buffer.from(library)
  bytes.write("kinD", bytes.indexOf("capsa_event.kind\0") + "capsa_event.".length)
  yield* Effect.promise(() => Bun.write(copy, bytes))
  yield* withConfig(["CAPSA_LIBRARY", copy])(build(Kvm.layer))
})

const missingQemu = Qemu.layer({ program: "qemu-system-nowhere" })
const noCandidate = select([
  { name: "kvm", capabilities: Kvm.capabilities, probe: Kvm.probe, layer: Kvm.layer },
  { name: "qemu", capabilities: Qemu.capabilities, probe: Qemu.probe, layer: missingQemu }
])

const simulated = (guest: Simulated.Script = () => Effect.never) => Effect.provide(Simulated.layer({ guest }))

/** The virtual minute in which a pool gives up. */
const acquireFromPool = ({ failing, ready }: { failing?: VmBootErrorReason; ready?: VmPool.VmPoolOptions["ready"] }) =>
  Effect.gen(function* () {
    const pool = yield* VmPool.make({ config: {}, max: 1, ready })
    const acquired = yield* Effect.fork(pool.acquire)
    yield* TestClock.adjust("1 minute")
    return yield* acquired
  }).pipe(
    Effect.provide(
      Simulated.layer({
        guest: () => Effect.never,
        beforeStage: () =>
          failing === undefined
            ? Effect.void
            : Effect.fail(new VmBootError({ reason: failing, detail: "No.", hint: "Mend it." }))
      })
    ),
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.provide(TestContext.TestContext)
  )

const unwelcoming: Simulated.Script = ({ print, readLine }) =>
  Effect.all([print("login: "), readLine, print("Login incorrect\r\n"), Effect.never]).pipe(
    Effect.zipRight(Effect.never)
  )

const diskOf = (path: string) => ({
  path,
  format: "raw" as const,
  blockDevice: false,
  backing: [],
  readOnly: false,
  ephemeral: false,
  serial: "root"
})

const stateIn = (folder: string) => withConfig(["CAPSA_STATE_DIR", folder])(StateFolder.open)

const causes: Record<OfHost, Cause<unknown, Scope.Scope>> = {
  "BackendError.DeviceMissing": {
    happens: onHostWhereKvmIs("missing"),
    says: { subject: "/dev/kvm", errno: "ENOENT", hint: expect.stringContaining("modprobe") },
    skipped: noNamespace
  },
  "BackendError.PermissionDenied": {
    happens: onHostWhereKvmIs("denied"),
    says: { subject: "/dev/kvm", errno: "EACCES", hint: expect.stringContaining("usermod -aG kvm") },
    skipped: noNamespace
  },
  "BackendError.HypervisorUnusable": {
    happens: onHostWhereKvmIs("unusable"),
    says: { subject: "/dev/kvm", operation: "KVM_GET_API_VERSION" },
    skipped: noNamespace
  },
  "BackendError.Emulated": {
    happens: build(Kvm.layer),
    says: { subject: "/dev/kvm", hint: expect.stringContaining("--backend qemu") },
    skipped: notEmulated
  },
  "BackendError.ProgramMissing": {
    happens: build(missingQemu),
    says: { subject: "qemu-system-nowhere", hint: expect.stringContaining("apt install") }
  },
  "BackendError.ProgramUnusable": {
    happens: build(Qemu.layer({ program: "true" })),
    says: { subject: expect.stringMatching(/\/true$/) }
  },
  "BackendError.LibraryMissing": {
    happens: withConfig(["CAPSA_LIBRARY", "/nowhere/libcapsa.so"])(build(Kvm.layer)),
    says: { subject: "/nowhere/libcapsa.so", hint: expect.stringContaining("CAPSA_LIBRARY") }
  },
  "BackendError.LibraryMismatch": {
    happens: mismatched,
    says: { subject: expect.stringMatching(/libcapsa\.so$/), field: expect.stringContaining("capsa_event.kin") }
  },
  "BackendError.UnknownBackend": {
    happens: withConfig(["CAPSA_BACKEND", "xen"])(build(Backends.auto)),
    says: { subject: "CAPSA_BACKEND", hint: expect.stringContaining("auto, kvm, qemu") }
  },
  "BackendError.NoneAvailable": {
    happens: withConfig(["CAPSA_LIBRARY", "/nowhere/libcapsa.so"])(build(noCandidate)),
    says: { message: expect.stringMatching(/kvm: .*libcapsa\.so.*; qemu: .*qemu-system-nowhere/) }
  },
  "VmConfigError.Malformed": {
    happens: simulated()(Vm.launch({ cpus: 1.5 })),
    says: { problems: [{ path: "cpus" }] }
  },
  "VmConfigError.Invalid": {
    happens: simulated()(Vm.launch({ boot: { kernel: "/nowhere/vmlinuz" }, cpus: 0 })),
    says: { message: expect.stringContaining("/nowhere/vmlinuz") }
  },
  "VmConfigError.Unsupported": {
    happens: simulated()(Vm.launch({ cpus: Simulated.capabilities.maxCpus + 1 })),
    says: { problems: [{ path: "cpus" }] }
  },
  "VmBootError.Unsupported": {
    happens: images({ ...Simulated.capabilities, kernels: [] }),
    says: { hint: expect.stringContaining("boot: {") }
  },
  "VmBootError.GuestUnavailable": {
    happens: withConfig(["CAPSA_CACHE_DIR", "/dev/null/cache"])(images(Simulated.capabilities)),
    says: { subject: expect.stringContaining("/dev/null/cache"), hint: expect.stringContaining("CAPSA_CACHE_DIR") }
  },
  "VmBootError.Timeout": {
    happens: simulated(({ print }) => Effect.zipRight(print("[    0.1] Linux\r\n"), Effect.never))(
      Vm.launch({ readyTimeout: 50 })
    ),
    says: { stage: "kernel", consoleTail: "[    0.1] Linux\r\n", message: expect.stringContaining("50ms") }
  },
  "VmBootError.DiskUnavailable": {
    happens: DiskLocks.take([diskOf("/nowhere/root.img")]),
    says: { subject: "/nowhere/root.img", errno: "ENOENT", hint: expect.stringContaining("disks[].path") }
  },
  "VmBootError.DiskInUse": {
    happens: Effect.flatMap(scratch, (folder) => {
      const path = join(folder, "root.img")
      writeFileSync(path, "")
      return Effect.zipRight(DiskLocks.take([diskOf(path)]), DiskLocks.take([{ ...diskOf(path), readOnly: true }]))
    }),
    says: { subject: expect.stringContaining("root.img"), field: "disks.0.path" }
  },
  "StateError.Foreign": {
    happens: Effect.flatMap(scratch, (folder) => {
      chownSync(folder, 12345, 12345)
      return stateIn(folder)
    }),
    says: { message: expect.stringContaining("12345"), hint: expect.stringContaining("CAPSA_STATE_DIR") },
    skipped: process.getuid?.() === 0 ? undefined : "only root can give files away"
  },
  "StateError.Exposed": {
    happens: Effect.flatMap(scratch, (folder) => {
      chmodSync(folder, 0o777)
      return stateIn(folder)
    }),
    says: { subject: expect.stringContaining("/"), hint: expect.stringContaining("chmod go-w /") }
  },
  "StateError.TooLong": {
    happens: stateIn(`/tmp/${"x".repeat(100)}`),
    says: { subject: expect.stringContaining("xxx") }
  },
  "StateError.Unusable": {
    happens: stateIn("/dev/null"),
    says: { subject: "/dev/null", errno: "EEXIST", hint: expect.stringContaining("file") }
  },
  "ConsoleError.Timeout": {
    happens: simulated()(Effect.flatMap(Vm.launch({}), ({ console }) => console.expect("login:", { timeout: 1 }))),
    says: { pattern: '"login:"' }
  },
  "ConsoleError.LoginIncorrect": {
    happens: simulated(unwelcoming)(
      Effect.flatMap(Vm.launch({}), ({ console }) => console.login({ user: "nobody", timeout: "10 seconds" }))
    ),
    says: { message: expect.stringContaining('"nobody"') }
  },
  "ConsoleError.InvalidInput": {
    happens: simulated()(Effect.flatMap(Vm.launch({}), ({ console }) => console.run("echo \0"))),
    says: { message: expect.stringContaining("NUL"), hint: expect.stringContaining("file of the guest") }
  },
  "ConsoleError.Ended": {
    happens: simulated(({ print }) => Effect.as(print("bye"), { _tag: "Reboot" }))(
      Effect.flatMap(Vm.launch({}), ({ console }) => console.expect("login:"))
    ),
    says: { message: expect.stringContaining("ended (Reboot)"), received: "bye", exit: { _tag: "Reboot" } }
  },
  "PoolError.Invalid": {
    happens: simulated()(VmPool.make({ config: {}, max: 0 })),
    says: { field: "max" }
  },
  "PoolError.Closed": {
    happens: simulated()(Effect.flatMap(Effect.scoped(VmPool.make({ config: {}, max: 1 })), ({ acquire }) => acquire))
  },
  "PoolError.LaunchFailed": {
    happens: acquireFromPool({ failing: "HostResources" }),
    says: { hint: "Mend it.", cause: { message: "No." } }
  },
  "PoolError.NotReady": {
    happens: acquireFromPool({ ready: () => Effect.fail("no prompt") }),
    says: { message: expect.stringContaining("no prompt") }
  },
  "PoolError.Unlaunchable": {
    happens: acquireFromPool({ failing: "KernelInvalid" }),
    says: { hint: "Mend it.", cause: { message: "No." } }
  },
  "VsockError.Unsupported": {
    happens: simulated()(Effect.flatMap(Vm.launch({}), ({ vsock }) => vsock.connect(1))),
    says: { hint: expect.stringContaining("vsock: true") }
  },
  "VsockError.Invalid": {
    happens: Effect.flatMap(VsockPeer.launch("/nowhere/vsock"), ({ vsock }) => vsock.connect(2 ** 32)),
    says: { field: "port", message: expect.stringContaining("4294967296") }
  },
  "VsockError.PortInUse": {
    happens: Effect.gen(function* () {
      const { path } = yield* VsockPeer.guest({})
      yield* Effect.promise(() => Bun.write(`${path}_52`, ""))
      yield* Stream.runDrain((yield* VsockPeer.launch(path)).vsock.listen(52))
    }),
    says: { port: 52, errno: "EADDRINUSE", subject: expect.stringContaining("vsock_52") }
  },
  "VsockError.HostFailure": {
    happens: Effect.flatMap(VsockPeer.launch("/nowhere/vsock"), ({ vsock }) => Stream.runDrain(vsock.listen(52))),
    says: { subject: "/nowhere/vsock_52", errno: "ENOENT" }
  },
  "KernelCmdlineError.ControlCharacter": { happens: KernelCmdline.parse("quiet\0") },
  "KernelCmdlineError.UnbalancedQuote": { happens: KernelCmdline.parse('a="b') },
  "KernelCmdlineError.NotExpressible": { happens: KernelCmdline.make([{ key: "a b", value: '"' }]) },
  "KernelCmdlineError.TooLong": {
    happens: Effect.flatMap(KernelCmdline.parse("a".repeat(3000)), (cmdline) =>
      KernelCmdline.printFor(cmdline, "x86_64")
    ),
    says: { message: expect.stringContaining("3000 bytes") }
  }
}

produces(Failure.Failure, causes, Effect.scoped)

test("there is no reason without a test of its cause", () => {
  const all = Object.entries(Failure.reasons).flatMap(([tag, reasons]) =>
    Object.keys(reasons).map((reason) => `${tag}.${reason}`)
  )
  expect([...Object.keys(causes), ...ofGuests, ...ofMonitor, ...ofLimits, ...ofVsock, ...ofAgent].toSorted()).toEqual(
    all.toSorted()
  )
})
