/** QEMU's command line, from a plan alone. */
import type { BootPlan, FirmwarePlan, KernelPlan } from "@capsa/core"
import { common, disks, escaped, type Served, served, sharedMemory, virtio } from "./devices.ts"
import type { Firmware } from "./firmware.ts"

/** What runs the guest's instructions. @category models */
export type Accelerator = "tcg" | "kvm"

/** What a machine is connected with. */
export type ConnectionName = "monitor" | "console" | "early" | "agent"

/** Sockets that a machine inherits, as descriptors from 3 up in this order. */
export const connectionsOf = (plan: Pick<BootPlan, "agentPort" | "console">): ReadonlyArray<ConnectionName> => [
  "monitor",
  "console",
  ...(plan.console === "serial" ? [] : (["early"] as const)),
  ...(plan.agentPort ? (["agent"] as const) : [])
]

const firstDescriptor = 3

const chardev = (name: string, index: number): ReadonlyArray<string> => [
  "-chardev",
  `socket,id=${name},fd=${firstDescriptor + index}`
]

/** Nothing that QEMU would add by itself, nothing of the user's own configuration, no window; the vCPUs stand still. */
const bare = ["-nodefaults", "-no-user-config", "-display", "none", "-S"]

/**
 * With firmware tables: q35, whose timers a busy host cannot starve. (microvm with ACPI has no timer but the APIC's,
 * which Linux measures against the time-stamp counter, which it measures against the PIT; under TCG the last fails
 * as soon as the host preempts it, and the kernel stands still for good.)
 *
 * Without: microvm, which names its virtio-mmio devices on the command line, and has the PIT for a timer. Of itself it would
 * have them as they were before virtio 1.0, which knew no shares. The keyboard controller is there for `reboot=k`.
 */
const machine = (discovery: BootPlan["discovery"], memory: string): ReadonlyArray<string> =>
  discovery === "firmware"
    ? ["-machine", `q35,vmport=off,smm=off,usb=off,sata=off,smbus=off${memory}`, "-device", "pvpanic"]
    : [
        "-machine",
        `microvm,acpi=off,auto-kernel-cmdline=on${memory}`,
        "-global",
        "virtio-mmio.force-legacy=off",
        "-device",
        "i8042"
      ]

/** Starts Linux 0.4 s sooner than SeaBIOS. */
const qboot = ["-bios", "qboot.rom"]

/** What the first processor finds: firmware in flash memory, or a kernel with as little before it as there can be. */
const start = (plan: ReadyPlan): ReadonlyArray<string> =>
  "flash" in plan
    ? [plan.flash.code, plan.flash.variables].flatMap(flashOf)
    : [
        ...(plan.discovery === "firmware" ? qboot : []),
        "-kernel",
        plan.kernel,
        ...(plan.initrd === undefined ? [] : ["-initrd", plan.initrd]),
        "-append",
        plan.cmdline
      ]

const flashOf = (file: string, unit: number): ReadonlyArray<string> => [
  "-drive",
  `if=pflash,unit=${unit},format=raw,read-only=${unit === 0 ? "on" : "off"},file.driver=file,file.filename=${escaped(file)}`
]

/** Every end of the guest ends QEMU, and the monitor has said before which one it was. */
const endings = ["-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown"]

const monitor = [...chardev("monitor", 0), "-mon", "chardev=monitor,mode=control"]

/** Linux only: a QEMU that the guest took over starts no program and gains no privilege. */
const sandbox = (platform: string): ReadonlyArray<string> =>
  platform === "linux" ? ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"] : []

export interface Host {
  readonly accelerator: Accelerator
  /** `process.platform` */
  readonly platform: string
}

/** A plan, with the flash memory that was made for firmware. */
export type ReadyPlan = KernelPlan | (FirmwarePlan & { readonly flash: Firmware })

/** The arguments that carry out a plan, with what is served for it. */
export const fromPlan = (plan: ReadyPlan, host: Host, service?: Served): ReadonlyArray<string> => {
  const connections = connectionsOf(plan)
  const memory = sharedMemory(plan)
  return [
    ...bare,
    "-name",
    `guest=${escaped(plan.name)}`,
    "-uuid",
    plan.id,
    ...machine(plan.discovery, memory.machine),
    ...processor(host.accelerator, plan.cpus),
    "-m",
    `${plan.memoryMib}M`,
    ...memory.object,
    ...start(plan),
    ...connections.flatMap((name, index) => (name === "monitor" ? monitor : chardev(name, index))),
    ...consoles(plan),
    ...ports(plan),
    ...common(plan),
    ...disks(plan),
    ...(service === undefined ? [] : served(plan, host.accelerator, service)),
    ...endings,
    ...sandbox(host.platform)
  ]
}

/** What a plan may ask for that needs no file. */
const everything = { discovery: "firmware", balloon: true } as const

/** A machine with all devices and no guest, to see whether this QEMU can build it. Its monitor is descriptor 3. */
export const trial = (host: Host): ReadonlyArray<string> => [
  ...bare,
  ...machine("firmware", ""),
  ...qboot,
  ...processor(host.accelerator, 1),
  "-m",
  "16M",
  ...monitor,
  "-device",
  `${virtio(everything, "virtio-serial")},max_ports=1`,
  ...common(everything),
  ...endings,
  ...sandbox(host.platform)
]

const processor = (accelerator: Accelerator, cpus: number): ReadonlyArray<string> => [
  "-accel",
  accelerator,
  "-cpu",
  "max",
  "-smp",
  String(cpus)
]

const consoles = (plan: BootPlan): ReadonlyArray<string> =>
  plan.console === "serial" ? ["-serial", "chardev:console"] : ["-serial", "chardev:early"]

/** The console's port and the agent's share a device. */
const ports = (plan: BootPlan): ReadonlyArray<string> => {
  const devices = [
    ...(plan.console === "virtio" ? ["virtconsole,chardev=console"] : []),
    // The first port is for a console.
    ...(plan.agentPort ? ["virtserialport,chardev=agent,nr=1,name=capsa.agent"] : [])
  ]
  if (devices.length === 0) return []
  const serial = `${virtio(plan, "virtio-serial")},max_ports=${plan.agentPort ? 2 : 1}`
  return [serial, ...devices].flatMap((device) => ["-device", device])
}
