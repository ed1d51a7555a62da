/** Machines on QEMU: where capsa's own monitor cannot run, and beside it. */
import {
  Backend,
  type BackendError,
  type Capabilities,
  noFeatures,
  type ProbeReport,
  supported,
  unsupported
} from "@capsa/core"
import type { Architecture } from "@capsa/core/KernelCmdline"
import { HostTicks, Native, type NativeError } from "@capsa/native"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Host } from "./internal/arguments.ts"
import { type Accelerator, boards } from "./internal/board.ts"
import * as Firmware from "./internal/firmware.ts"
import { boot } from "./internal/machine.ts"
import { examine } from "./internal/probe.ts"
import * as Program from "./internal/program.ts"

const hostArchitecture: Architecture = process.arch === "arm64" ? "arm64" : "x86_64"

const noFirmwareForArm: Firmware.Missing = {
  reason: "firmware for arm64 guests is not looked for",
  hint: "Name a kernel: boot: { kernel, initrd }."
}

const withoutFirmware = ({ hint, reason }: Firmware.Missing) => ({ uefi: unsupported(reason, hint) })

const onX86: Capabilities = {
  architectures: ["x86_64"],
  kernels: ["bzImage", "vmlinux"],
  consoles: ["serial", "virtio"],
  discovery: ["firmware", "cmdline"],
  maxCpus: 64,
  // QEMU's own processor has 40 address bits, and q35 wants room for devices above the memory.
  maxMemoryMib: 512 * 1024,
  pause: true,
  powerButton: true,
  panicNotifier: true,
  features: {
    ...noFeatures("capsa gives QEMU no device for it"),
    uefi: supported,
    disks: supported,
    ephemeralDisks: supported,
    qcow2: supported,
    shares: supported,
    userNetwork: supported,
    networkPolicy: supported,
    portForwards: supported,
    tapNetwork: supported,
    switchNetwork: supported,
    vsock: supported,
    balloon: supported,
    limits: process.platform === "linux" ? supported : unsupported("only Linux has cgroups"),
    processIsolation: unsupported("its processes have no jail"),
    mainProcess: supported
  }
}

/** What machines for guests of each architecture can do. @category models */
export const capabilitiesFor: Readonly<Record<Architecture, Capabilities>> = {
  x86_64: onX86,
  arm64: {
    ...onX86,
    architectures: ["arm64"],
    kernels: ["Image"],
    discovery: ["firmware"],
    serialPort: "ttyAMA0",
    panicNotifier: false,
    features: { ...onX86.features, ...withoutFirmware(noFirmwareForArm) }
  }
}

/** What machines can do whose guests are of the host's architecture. @category models */
export const capabilities: Capabilities = capabilitiesFor[hostArchitecture]

/** @category models */
export interface QemuOptions {
  /**
   * `auto` is `tcg`, which works everywhere: a `/dev/kvm` that is there need not be able to boot Linux. `kvm` must be
   * asked for.
   */
  readonly accel?: "auto" | Accelerator | undefined
  /** Of the guests; the host's if absent. Another than the host's can only be emulated, by `tcg`. */
  readonly architecture?: Architecture | undefined
  /** Name on PATH, or path, of QEMU for guests of that architecture; `qemu-system-x86_64` or `qemu-system-aarch64` if absent. */
  readonly program?: string | undefined
  /**
   * UEFI firmware for machines that start some: absolute paths of a file with its code and of one that the variables of a new
   * machine are copied from, both raw flash images, not for Secure Boot. What is installed if absent. Only for x86_64.
   */
  readonly firmware?: Firmware.Firmware | undefined
}

/**
 * The QEMU backend. Building it builds a machine without a guest, in some tens of milliseconds, and fails with
 * `ProgramMissing`, `ProgramUnusable` (too old, incomplete), or what keeps KVM from working.
 *
 * Each machine is a process of its own that dies with this one, also when this one is killed. What it keeps on disk is in its
 * folder below the state folder, and goes with it. Shares, networks and vsock are the native library's, which is opened with the
 * layer: machines that have any of them end with it, too.
 *
 * @category layers
 */
export const layer = (options: QemuOptions = {}): Layer.Layer<Backend, BackendError> =>
  Layer.scoped(
    Backend,
    Effect.gen(function* () {
      const { architecture = hostArchitecture } = options
      const host = { architecture, accelerator: acceleratorOf(options), platform: process.platform }
      const program = yield* Program.find(options.program ?? boards[architecture].program)
      const [version, trial, kernelParameters, native, firmware] = yield* Effect.all(
        [
          Effect.either(Program.version(program)),
          Effect.either(Program.tryOut(program, host)),
          clockParameters(host),
          Effect.either(Layer.build(Native.layer)),
          Effect.provide(firmwareOf(options, host, program), BunFileSystem.layer)
        ],
        { concurrency: "unbounded" }
      )
      // That it is too old says more than what it does not understand.
      const found = yield* version
      yield* trial
      const library = Option.map(Either.getRight(native), Context.get(Native.Native))
      return {
        name: "qemu",
        description: `QEMU ${Program.showVersion(found)} (${host.accelerator.toUpperCase()})`,
        capabilities: {
          ...capabilitiesFor[architecture],
          kernelParameters,
          features: {
            ...capabilitiesFor[architecture].features,
            ...Either.match(native, { onLeft: withoutLibrary, onRight: () => ({}) }),
            ...Either.match(firmware, { onLeft: withoutFirmware, onRight: () => ({}) })
          }
        },
        passedOver: [],
        boot: (plan) => Effect.provide(boot(plan, program, host, library, firmware), BunFileSystem.layer)
      }
    })
  )

/**
 * Tries QEMU out on this host, in under 300 ms unless something hangs. Never fails.
 *
 * @category constructors
 */
export const probe: Effect.Effect<ProbeReport> = Effect.withSpan(
  examine(boards[hostArchitecture].program, hostArchitecture),
  "Qemu.probe"
)

const firmwareOf = ({ firmware }: QemuOptions, { architecture }: Host, program: string) => {
  if (architecture === "arm64") return Effect.succeed(Either.left(noFirmwareForArm))
  return firmware === undefined ? Effect.flatMap(Firmware.placesOf(program), Firmware.find) : Firmware.named(firmware)
}

/** What the native library serves is not there without it. */
const withoutLibrary = ({ message }: NativeError) => {
  const absent = unsupported(`the native library, which serves it, is missing or does not fit: ${message}`)
  return {
    shares: absent,
    userNetwork: absent,
    networkPolicy: absent,
    portForwards: absent,
    tapNetwork: absent,
    switchNetwork: absent,
    vsock: absent
  }
}

/**
 * An emulated x86_64 processor's time-stamp counter is the host's. Linux would measure it against a timer that the host's
 * scheduler holds back, and its clock then runs several times too fast on a busy host.
 */
const clockParameters = ({ accelerator, architecture }: Host): Effect.Effect<string | undefined> =>
  accelerator === "tcg" && architecture === "x86_64"
    ? Effect.map(HostTicks.kilohertz, (speed) =>
        Option.getOrUndefined(Option.map(speed, (kilohertz) => `tsc_early_khz=${kilohertz}`))
      )
    : Effect.succeed(undefined)

const acceleratorOf = ({ accel = "auto" }: QemuOptions): Accelerator => (accel === "auto" ? "tcg" : accel)
