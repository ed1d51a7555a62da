/** QEMU's command line, from a plan alone. */
import type { BootPlan, FirmwarePlan, KernelPlan } from "@capsa/core"
import type { Architecture } from "@capsa/core/KernelCmdline"
import { type Accelerator, boards } from "./board.ts"
import { common, disks, escaped, type Served, served, sharedMemory, virtio } from "./devices.ts"
import type { Firmware } from "./firmware.ts"

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

/** What the first processor finds: firmware in flash memory, or a kernel with as little before it as there can be. */
const start = (plan: ReadyPlan, architecture: Architecture): ReadonlyArray<string> =>
  "flash" in plan
    ? [plan.flash.code, plan.flash.variables].flatMap(flashOf)
    : [
        ...boards[architecture].starter(plan.discovery),
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
  /** Of the guests. */
  readonly architecture: Architecture
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
    ...boards[host.architecture].machine(plan.discovery, memory.machine),
    ...processor(host, plan.cpus),
    "-m",
    `${plan.memoryMib}M`,
    ...memory.object,
    ...start(plan, host.architecture),
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
  ...boards[host.architecture].machine("firmware", ""),
  ...boards[host.architecture].starter("firmware"),
  ...processor(host, 1),
  "-m",
  "16M",
  ...monitor,
  "-device",
  `${virtio(everything, "virtio-serial")},max_ports=1`,
  ...common(everything),
  ...endings,
  ...sandbox(host.platform)
]

const processor = ({ accelerator, architecture }: Host, cpus: number): ReadonlyArray<string> => [
  "-accel",
  accelerator,
  "-cpu",
  boards[architecture].processor[accelerator],
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
