/** Machines on `/dev/kvm`, run by capsa's own monitor. */
import {
  Backend,
  BackendError,
  type Capabilities,
  type Finding,
  noFeatures,
  type ProbeReport,
  supported,
  unsupported
} from "@capsa/core"
import { onlyKernel } from "@capsa/core/BootPlan"
import { Native, type NativeError } from "@capsa/native"
import * as DiskLocks from "@capsa/state/DiskLocks"
import * as Lease from "@capsa/state/Lease"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Architecture, bootError, host, probeError } from "./internal/errors.ts"

const onX86: Capabilities = {
  architectures: ["x86_64"],
  kernels: ["bzImage", "vmlinux"],
  consoles: ["serial", "virtio"],
  discovery: ["firmware", "cmdline"],
  maxCpus: 64,
  maxMemoryMib: 1024 * 1024,
  pause: true,
  powerButton: true,
  panicNotifier: true,
  features: {
    ...noFeatures("its monitor has no device for it"),
    disks: supported,
    ephemeralDisks: supported,
    qcow2: unsupported("its monitor reads raw images only"),
    balloon: supported,
    shares: supported,
    userNetwork: supported,
    networkPolicy: supported,
    portForwards: supported,
    tapNetwork: supported,
    switchNetwork: supported,
    vsock: supported,
    uefi: unsupported("its monitor starts kernels itself, without firmware"),
    limits: unsupported("its machines run in this process, which they share"),
    processIsolation: unsupported("its machines run in this process"),
    mainProcess: supported
  }
}

/** What the monitor can do on hosts of each architecture. @category models */
export const capabilitiesOn: Readonly<Record<Architecture, Capabilities>> = {
  x86_64: onX86,
  arm64: { ...onX86, architectures: ["arm64"], kernels: ["Image"], discovery: ["firmware"] }
}

/** What it can do on a host of this architecture. @category models */
export const capabilities: Capabilities = capabilitiesOn[host]

/** What it can do on this host: a GICv2, the interrupt controller of older Arm processors, serves no more than eight. */
const capabilitiesFor = ({ gic }: Native.Verdict): Capabilities =>
  gic === 2 ? { ...capabilities, maxCpus: 8 } : capabilities

const emulated = (instructionNs: number) =>
  new BackendError({
    reason: "Emulated",
    backend: "kvm",
    subject: "/dev/kvm",
    detail: `KVM is present but emulated: it interprets guest kernel code, at ${Math.round(instructionNs)} ns an instruction`,
    hint: `Linux cannot boot on it. Use the QEMU backend (\`--backend qemu\`, \`Qemu.layer()\`), or a host whose processor offers ${host === "arm64" ? "EL2" : "VMX or SVM"}.`
  })

/** Fails unless guest kernel code runs on hardware. */
const verify = Effect.gen(function* () {
  const native = yield* Native.Native
  const verdict = yield* Effect.mapError(native.probe, probeError)
  if (verdict.kind === "emulated") return yield* emulated(verdict.instructionNs)
  return verdict
})

const nativeLayer = Layer.mapError<NativeError, BackendError>(probeError)(Native.layer)

const ok = (check: string, detail: string): Finding => ({ check, status: "ok", detail })

const interruptController = (gic: number): ReadonlyArray<Finding> => {
  if (gic === 0) return []
  return [ok("interrupt controller", gic === 2 ? "GICv2: a machine has at most 8 processors" : `GICv${gic}`)]
}

const failed = (error: BackendError): ReadonlyArray<Finding> => [
  { check: error.subject ?? "kvm", status: "failed", detail: error.message, fix: error.hint }
]

/**
 * Looks at this host by creating a virtual machine and running guest kernel code in it. Never fails; takes a few
 * milliseconds on hardware, some tens where KVM is emulated.
 *
 * @category constructors
 */
export const probe: Effect.Effect<ProbeReport> = verify.pipe(
  Effect.provide(nativeLayer),
  Effect.match({
    onFailure: (error): ProbeReport => ({ backend: "kvm", findings: failed(error), error }),
    onSuccess: ({ gic, instructionNs }): ProbeReport => ({
      backend: "kvm",
      findings: [
        ok("native library", "opened, its version and layout fit"),
        ok("/dev/kvm", "opened, a virtual machine was created"),
        ok("guest code", `runs on hardware: ${instructionNs.toFixed(2)} ns an instruction`),
        ...interruptController(gic)
      ]
    })
  }),
  Effect.withSpan("Kvm.probe")
)

/**
 * The KVM backend. Building it probes the host and fails, within a tenth of a second, where KVM cannot run Linux.
 *
 * @category layers
 */
export const layer: Layer.Layer<Backend, BackendError> = Layer.effect(
  Backend,
  Effect.gen(function* () {
    const native = yield* Native.Native
    const verdict = yield* verify
    return {
      name: "kvm",
      description: "KVM",
      capabilities: capabilitiesFor(verdict),
      passedOver: [],
      boot: Effect.fnUntraced(function* (wanted) {
        const plan = yield* onlyKernel(wanted)
        const { folder } = yield* Lease.take(plan, "kvm")
        yield* DiskLocks.take(plan.disks)
        return yield* Effect.mapError(native.boot(plan, Native.pathsIn(folder, plan)), bootError)
      })
    }
  })
).pipe(Layer.provide(nativeLayer))
