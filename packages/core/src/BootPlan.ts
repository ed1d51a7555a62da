/** A machine with every decision made: the same for all backends, which translate it and add nothing. */
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { type DirectBoot, type FirmwareBoot, isBuiltin, isDirect, isFirmware } from "./BootConfig.ts"
import type { Capabilities } from "./Capabilities.ts"
import { defaults } from "./ConfigDefaults.ts"
import type { DiskConfig } from "./DiskConfig.ts"
import * as KernelCmdline from "./KernelCmdline.ts"
import type { KernelCmdlineError } from "./KernelCmdlineError.ts"
import { LimitsConfig } from "./LimitsConfig.ts"
import { toMib } from "./MemorySize.ts"
import { make as makeNetwork, NetworkPlan } from "./NetworkPlan.ts"
import type { ShareConfig } from "./ShareConfig.ts"
import { VmBootError } from "./VmBootError.ts"
import type { VmConfig } from "./VmConfig.ts"
import { VmConfigError } from "./VmConfigError.ts"

/** A disk, all decided. @category models */
export const DiskPlan = Schema.Struct({
  path: Schema.String,
  format: Schema.Literal("raw", "qcow2"),
  blockDevice: Schema.Boolean,
  readOnly: Schema.Boolean,
  /** What a qcow2 image builds on, from the next to the last. */
  backing: Schema.Array(Schema.Struct({ path: Schema.String, format: Schema.Literal("raw", "qcow2") })),
  /** What is written goes elsewhere and is thrown away. */
  ephemeral: Schema.Boolean,
  serial: Schema.String
})
/** @category models */
export type DiskPlan = typeof DiskPlan.Type

/** A shared folder, all decided. @category models */
export const SharePlan = Schema.Struct({
  host: Schema.String,
  guest: Schema.String,
  mode: Schema.Literal("ro", "rw"),
  tag: Schema.String,
  cache: Schema.Literal("none", "auto", "always"),
  uid: Schema.optional(Schema.Int)
})
/** @category models */
export type SharePlan = typeof SharePlan.Type

/** What every machine has, whatever it starts. */
const machine = {
  /** UUID of the machine. */
  id: Schema.String,
  name: Schema.String,
  cpus: Schema.Int,
  memoryMib: Schema.Int,
  /** In the order in which the guest finds them. */
  disks: Schema.Array(DiskPlan),
  shares: Schema.Array(SharePlan),
  /** Whether the guest has a balloon to give memory back with. */
  balloon: Schema.Boolean,
  /** Whether the guest has a port of virtio-serial for its agent, because its agent cannot be reached by vsock. */
  agentPort: Schema.Boolean,
  /** Absent: the machine has none. */
  network: Schema.optional(NetworkPlan),
  /** Whether host and guest can connect to each other by port number. */
  vsock: Schema.Boolean,
  /** What the backend's process may take of the host. */
  limits: Schema.optional(LimitsConfig)
}

/** A machine that starts a kernel. @category models */
export const KernelPlan = Schema.Struct({
  ...machine,
  kernel: Schema.String,
  initrd: Schema.optional(Schema.String),
  /** The whole kernel command line, within the limit. */
  cmdline: Schema.String,
  /** The device that is the console: the serial port (ttyS0; ttyAMA0 for arm64 on QEMU) or virtio-console (hvc0). The other may carry early output. */
  console: Schema.Literal("serial", "virtio"),
  /** Firmware tables (ACPI, device tree), or the command line for kernels without ACPI. */
  discovery: Schema.Literal("firmware", "cmdline")
})
/** @category models */
export type KernelPlan = typeof KernelPlan.Type

/** A machine that starts firmware, which finds something to start on the first disk that has it. @category models */
export const FirmwarePlan = Schema.Struct({
  ...machine,
  firmware: Schema.Literal("uefi"),
  /** The file that keeps the firmware's variables, which need not exist; absent: they are lost with the machine. */
  variables: Schema.optional(Schema.String),
  /** The device that firmware speaks by. */
  console: Schema.Literal("serial"),
  discovery: Schema.Literal("firmware")
})
/** @category models */
export type FirmwarePlan = typeof FirmwarePlan.Type

/** Plain data, so that it can cross a process or a wire. Paths are absolute and were readable when it was made. @category models */
export const BootPlan = Schema.Union(KernelPlan, FirmwarePlan)
/** @category models */
export type BootPlan = typeof BootPlan.Type

/** Whether it starts firmware, not a kernel. @category guards */
export const startsFirmware = (plan: BootPlan): plan is FirmwarePlan => "firmware" in plan

/**
 * The plan for a backend that can only start kernels. Fails with `Unsupported` for firmware, which is refused before when the
 * backend's capabilities say so.
 *
 * @category guards
 */
export const onlyKernel = (plan: BootPlan): Effect.Effect<KernelPlan, VmBootError> =>
  startsFirmware(plan) ? Effect.fail(noFirmware(plan)) : Effect.succeed(plan)

/**
 * A kernel that does not come from the user: the built-in guest. Whoever names it has made sure that the files are there.
 *
 * @category models
 */
export interface GuestImages {
  /** Absolute path. */
  readonly kernel: string
  /** Absolute path. */
  readonly initrd?: string | undefined
  readonly console: KernelPlan["console"]
  readonly discovery?: KernelPlan["discovery"] | undefined
  /** Kernel parameters that the images need; they win over those of {@link make}, and a user's over them. */
  readonly cmdline?: string | undefined
}

/** What a plan is made from, beside the configuration. @category models */
export interface PlanOptions {
  /** UUID of the machine. */
  readonly id: string
  readonly capabilities: Capabilities
  /** Whether somebody is to talk to an agent in the guest. */
  readonly agent?: boolean | undefined
  /** What is started where the configuration names no kernel. */
  readonly images?: GuestImages | undefined
}

/** The name of a machine that was given none. */
export const defaultName = (id: string): string => `vm-${id.slice(0, 8)}`

/**
 * Turns a validated configuration into a plan. Fails with `Invalid` where its command line cannot be written or no
 * kernel is known; nothing is started and no file is read.
 *
 * @category constructors
 */
export const make = Effect.fn("BootPlan.make")(function* (config: VmConfig, options: PlanOptions) {
  const path = yield* Path.Path
  const { boot, memory = defaults.memory } = config
  const network = makeNetwork(config.network ?? defaults.network, options.id)
  const wantsAgent = options.agent ?? false
  const { vsock } = options.capabilities.features
  const machine = {
    id: options.id,
    name: config.name ?? defaultName(options.id),
    cpus: config.cpus ?? defaults.cpus,
    memoryMib: toMib(memory),
    disks: (config.disks ?? []).map((disk, index) => diskPlan(path, disk, index)),
    shares: (config.shares ?? []).map((share, index) => sharePlan(path, share, index)),
    balloon: config.balloon ?? false,
    agentPort: wantsAgent && !vsock.supported,
    ...(network === undefined ? {} : { network }),
    vsock: config.vsock === true || (wantsAgent && vsock.supported),
    ...(config.limits === undefined ? {} : { limits: config.limits })
  }
  if (isFirmware(boot)) return { ...machine, ...firmwareOf(path, boot) } satisfies FirmwarePlan
  const images = isDirect(boot) ? boot : options.images
  if (images === undefined) return yield* noKernel
  const cmdline = yield* Either.mapLeft(commandLine(config, options), invalidCommandLine)
  return { ...machine, ...kernelOf(path, images), cmdline } satisfies KernelPlan
})

const kernelOf = (path: Path.Path, { console, discovery, initrd, kernel }: DirectBoot | GuestImages) => ({
  kernel: path.resolve(kernel),
  ...(initrd === undefined ? {} : { initrd: path.resolve(initrd) }),
  console: console ?? defaults.console,
  discovery: discovery ?? defaults.discovery
})

const firmwareOf = (path: Path.Path, { firmware, variables }: FirmwareBoot) => ({
  firmware,
  ...(variables === undefined ? {} : { variables: path.resolve(variables) }),
  console: "serial" as const,
  discovery: "firmware" as const
})

const diskPlan = (path: Path.Path, disk: DiskConfig, index: number): DiskPlan => ({
  path: path.resolve(disk.path),
  format: disk.format ?? "raw",
  blockDevice: disk.blockDevice ?? false,
  backing: (disk.backing ?? []).map(({ format, path: image }) => ({
    path: path.resolve(image),
    format: format ?? "raw"
  })),
  readOnly: disk.readOnly ?? false,
  // What is not written needs no place to be thrown away from.
  ephemeral: (disk.ephemeral ?? false) && !(disk.readOnly ?? false),
  serial: disk.serial ?? `${defaults.diskSerial}${index}`
})

const sharePlan = (path: Path.Path, share: ShareConfig, index: number): SharePlan => ({
  host: path.resolve(share.host),
  guest: share.guest,
  mode: share.mode ?? defaults.shareMode,
  tag: tagOf(share, index),
  cache: share.cache ?? defaults.shareCache,
  ...(share.uid === undefined ? {} : { uid: share.uid })
})

const tagOf = ({ tag }: ShareConfig, index: number): string => tag ?? `${defaults.shareTag}${index}`

/**
 * The kernel command line of a configuration, within the limit of the backend's architecture: what every machine should
 * have, the disk that has the root, then what the backend and the guest's images need, where the built-in guest mounts
 * the shares, then what the user says, and the early console.
 */
export const commandLine = (
  config: VmConfig,
  options: Pick<PlanOptions, "capabilities" | "images">
): Either.Either<string, KernelCmdlineError> =>
  Either.gen(function* () {
    const boot = isDirect(config.boot) ? config.boot : undefined
    const images = isBuiltin(config.boot) ? options.images : undefined
    const device = boot?.console ?? images?.console ?? defaults.console
    const architecture = options.capabilities.architectures[0] ?? "x86_64"
    const layers = KernelCmdline.merge(
      yield* KernelCmdline.make([
        consoleParameter(device, options.capabilities),
        ...machineParameters[architecture],
        ...rootParameters(config)
      ]),
      yield* KernelCmdline.parse(options.capabilities.kernelParameters ?? ""),
      yield* KernelCmdline.parse(images?.cmdline ?? ""),
      yield* KernelCmdline.make(shareParameters(config)),
      yield* KernelCmdline.parse(boot?.cmdline ?? ""),
      yield* KernelCmdline.make([earlyOutput[architecture]])
    )
    return yield* KernelCmdline.printFor(layers, architecture)
  })

// The UART tells of a kernel that dies before its console driver is there; the driver takes over without a repeat.
// It starts to print when the kernel reads this word: after the `quiet` or `loglevel=` that tells it how much.
const earlyOutput: Readonly<Record<KernelCmdline.Architecture, KernelCmdline.Parameter>> = {
  x86_64: { key: "earlycon", value: "uart8250,io,0x3f8" },
  // The device tree says where.
  arm64: { key: "earlycon" }
}

const consoleParameter = (
  device: KernelPlan["console"],
  { serialPort = "ttyS0" }: Capabilities
): KernelCmdline.Parameter => ({ key: "console", value: device === "serial" ? serialPort : "hvc0" })

// A panic restarts at once, so that the machine ends instead of standing still.
const restartAfterPanic = { key: "panic", value: "-1" }

const machineParameters: Readonly<Record<KernelCmdline.Architecture, ReadonlyArray<KernelCmdline.Parameter>>> = {
  x86_64: [
    // Restart through the keyboard controller: the way that every backend has and sees.
    { key: "reboot", value: "k" },
    restartAfterPanic,
    // The start-up check of the timer interrupt fails on a host that is busy, and then panics.
    { key: "no_timer_check" }
  ],
  arm64: [restartAfterPanic]
}

/** A kernel of one's own has its root on the first disk; the built-in guest has its own, and the disks beside it. */
const rootParameters = ({ boot, disks = [] }: VmConfig): ReadonlyArray<KernelCmdline.Parameter> => {
  const [first] = disks
  if (isBuiltin(boot) || first === undefined) return []
  return [{ key: "root", value: "/dev/vda" }, { key: first.readOnly === true ? "ro" : "rw" }]
}

/** A kernel of one's own mounts them itself; the built-in guest is told where. */
const shareParameters = ({ boot, shares = [] }: VmConfig): ReadonlyArray<KernelCmdline.Parameter> =>
  !isBuiltin(boot)
    ? []
    : shares
        .map((share, index) => ({
          tag: tagOf(share, index),
          mode: share.mode ?? defaults.shareMode,
          guest: share.guest.replace(/\/+/g, "/")
        }))
        // A share may be mounted in another one, which must be there first.
        .toSorted((one, other) => compare(one.guest, other.guest))
        .map(({ tag, mode, guest }) => ({ key: "capsa.share", value: `${tag}:${mode}:${percentEncoded(guest)}` }))

const compare = (one: string, other: string): number => (one < other ? -1 : Number(one > other))

/** Without anything that the kernel, or a shell, would take for more than itself. */
const percentEncoded = (path: string): string =>
  [...new TextEncoder().encode(path)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[\w./-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`
    })
    .join("")

const noKernel = new VmConfigError({
  reason: "Invalid",
  problems: [
    {
      path: "boot",
      detail: "No kernel is named and there is no built-in guest.",
      hint: "Give boot: { kernel, initrd }."
    }
  ]
})

const noFirmware = ({ firmware }: FirmwarePlan): VmBootError =>
  new VmBootError({
    reason: "Unsupported",
    subject: firmware,
    field: "firmware",
    detail: "This backend starts kernels itself, without firmware",
    hint: "Use the QEMU backend, or start a kernel: boot: { kernel, initrd }."
  })

const invalidCommandLine = ({ detail, hint }: KernelCmdlineError): VmConfigError =>
  new VmConfigError({ reason: "Invalid", problems: [{ path: "boot.cmdline", detail, hint }] })
