/** What a machine starts, by which console it speaks, and how it finds its devices. */
import type { Capabilities, DirectBoot } from "@capsa/core"
import * as Effect from "effect/Effect"
import { booted, type Case, done, type Setting } from "./Case.ts"

type Kind = Capabilities["kernels"][number]

const direct = ({ boot, guest }: Setting, changes: Partial<DirectBoot>): DirectBoot => ({
  kernel: "kernel" in boot ? boot.kernel : "",
  initrd: guest.initrd,
  ...changes
})

const kernelCase = (kind: Kind): Case => ({
  name: `boots a ${kind}`,
  claim: `kernels.${kind}`,
  prove: (setting) => {
    const kernel = setting.guest.kernels[kind]
    if (kernel === undefined) return Effect.fail(new Error(`the guest has no ${kind} that could show it`))
    return booted({ ...setting, boot: direct(setting, { kernel }) })
  }
})

const consoleCase = (console: Capabilities["consoles"][number]): Case => ({
  name: `speaks by a ${console} console`,
  claim: `consoles.${console}`,
  prove: (setting) => booted({ ...setting, boot: direct(setting, { console }) })
})

const discoveryCase = (discovery: Capabilities["discovery"][number]): Case => ({
  name: `finds its devices by ${discovery === "firmware" ? "firmware tables" : "its command line"}`,
  claim: `discovery.${discovery}`,
  prove: (setting) => booted({ ...setting, boot: direct(setting, { discovery, console: "virtio" }) })
})

const startsFirmware = (setting: Setting) => {
  const { capabilities, guest } = setting
  const disk = guest.uefiDisk
  if (disk === undefined && capabilities.features.uefi.supported)
    return Effect.fail(new Error("the guest has no disk that could show it"))
  const disks = disk === undefined ? [] : [{ path: disk, readOnly: true }]
  return Effect.flatMap(booted({ ...setting, boot: { firmware: "uefi" } }, { disks }), (vm) =>
    done(setting, vm, "test -d /sys/firmware/efi")
  )
}

export const boots: ReadonlyArray<Case> = [
  ...(["bzImage", "vmlinux", "Image"] as const).map(kernelCase),
  ...(["serial", "virtio"] as const).map(consoleCase),
  ...(["firmware", "cmdline"] as const).map(discoveryCase),
  { name: "starts the system on a disk by firmware", claim: "features.uefi", prove: startsFirmware }
]
