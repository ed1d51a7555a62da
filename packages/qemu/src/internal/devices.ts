/** The devices of a plan as QEMU's arguments. */
import type { BootPlan, NetworkPlan } from "@capsa/core"
import { Service } from "@capsa/native"

/** A comma ends an option's value, two are one. */
export const escaped = (value: string): string => value.replaceAll(",", ",,")

/** What a virtio device is called on the bus that the plan's machine has. */
export const virtio = (plan: Pick<BootPlan, "discovery">, device: string): string =>
  `${device}-${plan.discovery === "firmware" ? "pci" : "device"}`

/** Entropy for every machine; a balloon for those that ask for one. */
export const common = (plan: Pick<BootPlan, "discovery" | "balloon">): ReadonlyArray<string> => [
  "-object",
  "rng-builtin,id=entropy",
  "-device",
  `${virtio(plan, "virtio-rng")},rng=entropy`,
  ...(plan.balloon ? ["-device", `${virtio(plan, "virtio-balloon")},id=balloon,free-page-reporting=on`] : [])
]

/** The machine's memory as a file that who serves its devices can map too, and that cannot be cut; if any are served. */
export const sharedMemory = (plan: Service.ServicePlan) =>
  Service.deviceCount(plan) === 0
    ? { machine: "", object: [] }
    : {
        machine: ",memory-backend=ram",
        object: ["-object", `memory-backend-memfd,id=ram,size=${plan.memoryMib}M,share=on,seal=on`]
      }

/** Where the native library serves devices. */
export type Served = Pick<Service.Service, "sockets" | "mtu">

type ServedPlan = Service.ServicePlan & Pick<BootPlan, "discovery">

/** What the native library serves. QEMU has network devices by vhost-user only where it connects to a path itself. */
export const served = (
  plan: ServedPlan,
  accelerator: "tcg" | "kvm",
  { mtu, sockets }: Served
): ReadonlyArray<string> => {
  const devices = [
    ...plan.shares.map(({ tag }, index) => shareOf(plan, tag, `share${index}`)),
    ...(plan.network === undefined ? [] : [networkOf(plan, accelerator, plan.network, mtu)]),
    ...(plan.vsock ? [{ id: "vsock", args: ["-device", `${virtio(plan, "vhost-user-vsock")},chardev=vsock`] }] : [])
  ]
  return devices.flatMap(({ args, id }, index) => [
    "-chardev",
    `socket,id=${id},path=${escaped(sockets[index] ?? "")}`,
    ...args
  ])
}

const shareOf = (plan: ServedPlan, tag: string, id: string) => ({
  id,
  args: ["-device", `${virtio(plan, "vhost-user-fs")},chardev=${id},tag=${escaped(tag)}`]
})

/**
 * QEMU would take the guest's wishes about offloads itself, and not pass them on. Its firmware for booting from a network
 * is a package of its own, and nothing boots from here. QEMU 7.2 takes its processor's interrupts for KVM's when such a device
 * has MSI-X, and dies at the first.
 */
const networkOf = (plan: ServedPlan, accelerator: "tcg" | "kvm", { mac }: NetworkPlan, mtu: number | undefined) => ({
  id: "network",
  args: [
    "-netdev",
    "vhost-user,id=net,chardev=network",
    "-device",
    [
      `${virtio(plan, "virtio-net")},netdev=net,mac=${mac},ctrl_guest_offloads=off`,
      ...(mtu === undefined ? [] : [`host_mtu=${mtu}`]),
      ...(plan.discovery === "firmware" ? ["romfile="] : []),
      ...(plan.discovery === "firmware" && accelerator === "tcg" ? ["vectors=0"] : [])
    ].join(",")
  ]
})

/** What an image builds on, in place of what its header may name. */
const backing = (images: BootPlan["disks"][number]["backing"]): ReadonlyArray<string> =>
  images.flatMap(({ format, path }, depth) => {
    const node = "backing.".repeat(depth + 1)
    return [`${node}driver=${format}`, `${node}file.driver=file`, `${node}file.filename=${escaped(path)}`]
  })

/**
 * The format is told, never guessed; a file is never taken for a device or an address of QEMU's. An ephemeral disk is
 * written to a file without a name in TMPDIR, or /var/tmp.
 */
export const disks = (plan: Pick<BootPlan, "discovery" | "disks">): ReadonlyArray<string> =>
  plan.disks.flatMap((disk, index) => [
    "-drive",
    [
      `id=disk${index},if=none,format=${disk.format}`,
      `file.driver=${disk.blockDevice ? "host_device" : "file"}`,
      `file.filename=${escaped(disk.path)}`,
      ...backing(disk.backing),
      `read-only=${disk.readOnly ? "on" : "off"}`,
      `snapshot=${disk.ephemeral ? "on" : "off"}`,
      "discard=unmap"
    ].join(","),
    "-device",
    [
      `${virtio(plan, "virtio-blk")},drive=disk${index},serial=${escaped(disk.serial)}`,
      // Firmware looks for something to start in this order, and nowhere else: not in the network.
      ...("firmware" in plan ? [`bootindex=${index + 1}`] : [])
    ].join(",")
  ])
