/** The devices of a plan as QEMU's arguments. */
import type { BootPlan } from "@capsa/core"

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

/** The machine's memory as a file that who serves its shares can map too, and that cannot be cut. None without shares. */
export const sharedMemory = (plan: Pick<BootPlan, "memoryMib" | "shares">) =>
  plan.shares.length === 0
    ? { machine: "", object: [] }
    : {
        machine: ",memory-backend=ram",
        object: ["-object", `memory-backend-memfd,id=ram,size=${plan.memoryMib}M,share=on,seal=on`]
      }

/** Shares are served by the native library, over sockets that QEMU inherits as descriptors from `first` up. */
export const shares = (plan: Pick<BootPlan, "discovery" | "shares">, first: number): ReadonlyArray<string> =>
  plan.shares.flatMap(({ tag }, index) => [
    "-chardev",
    `socket,id=share${index},fd=${first + index}`,
    "-device",
    `${virtio(plan, "vhost-user-fs")},chardev=share${index},tag=${escaped(tag)}`
  ])

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
      `read-only=${disk.readOnly ? "on" : "off"}`,
      `snapshot=${disk.ephemeral ? "on" : "off"}`,
      "discard=unmap"
    ].join(","),
    "-device",
    `${virtio(plan, "virtio-blk")},drive=disk${index},serial=${escaped(disk.serial)}`
  ])
