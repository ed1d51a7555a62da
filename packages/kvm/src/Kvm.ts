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
import { bootError, probeError } from "./internal/errors.ts"

/** What the monitor can do on x86_64. @category models */
export const capabilities: Capabilities = {
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

const emulated = (instructionNs: number) =>
  new BackendError({
    reason: "Emulated",
    backend: "kvm",
    subject: "/dev/kvm",
    detail: `KVM is present but emulated: it interprets guest kernel code, at ${Math.round(instructionNs)} ns an instruction`,
    hint: "Linux cannot boot on it. Use the QEMU backend (`--backend qemu`, `Qemu.layer()`), or a host whose processor offers VMX or SVM."
  })

/** Fails unless guest kernel code runs on hardware; succeeds with the time one instruction takes, in nanoseconds. */
const verify = Effect.gen(function* () {
  const native = yield* Native.Native
  const verdict = yield* Effect.mapError(native.probe, probeError)
  if (verdict.kind === "emulated") return yield* emulated(verdict.instructionNs)
  return verdict.instructionNs
})

const nativeLayer = Layer.mapError<NativeError, BackendError>(probeError)(Native.layer)

const ok = (check: string, detail: string): Finding => ({ check, status: "ok", detail })

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
    onSuccess: (instructionNs): ProbeReport => ({
      backend: "kvm",
      findings: [
        ok("native library", "opened, its version and layout fit"),
        ok("/dev/kvm", "opened, a virtual machine was created"),
        ok("guest code", `runs on hardware: ${instructionNs.toFixed(2)} ns an instruction`)
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
    yield* verify
    return {
      name: "kvm",
      description: "KVM",
      capabilities,
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
