/** What a machine starts. */
import * as Schema from "effect/Schema"
import { defaults } from "./ConfigDefaults.ts"

/** A kernel of the user's own, started directly. @category models */
export const DirectBoot = Schema.Struct({
  kernel: Schema.propertySignature(Schema.NonEmptyString).annotations({
    description: "Path of a kernel image: bzImage or vmlinux; on arm64, Image."
  }),
  initrd: Schema.optional(Schema.NonEmptyString).annotations({ description: "Path of its initial RAM disk." }),
  cmdline: Schema.optional(Schema.String).annotations({
    description: "Kernel parameters, quoted as the kernel wants it; they win over those that capsa adds."
  }),
  console: Schema.optional(Schema.Literal("serial", "virtio")).annotations({
    default: defaults.console,
    description:
      "The console's device: the serial port (ttyS0; ttyAMA0 for arm64 on QEMU), or hvc0 for kernels with virtio-console built in."
  }),
  discovery: Schema.optional(Schema.Literal("firmware", "cmdline")).annotations({
    default: defaults.discovery,
    description: "How the kernel finds its devices: by firmware tables, or on its command line (no ACPI)."
  })
})
/** @category models */
export type DirectBoot = typeof DirectBoot.Type

/** Firmware, which finds something to start on the first disk that has it. @category models */
export const FirmwareBoot = Schema.Struct({
  firmware: Schema.propertySignature(Schema.Literal("uefi")).annotations({
    description: "Firmware that finds a system to start on the disks."
  }),
  variables: Schema.optional(Schema.NonEmptyString).annotations({
    description:
      "Path of the file that keeps the firmware's variables, made if it is missing; without it they are lost."
  })
})
/** @category models */
export type FirmwareBoot = typeof FirmwareBoot.Type

/** The built-in guest, with the kernel of one's choice. @category models */
export const BuiltinBoot = Schema.Struct({
  guest: Schema.propertySignature(Schema.Literal("tiny", "debian")).annotations({
    description:
      'The built-in guest with this kernel: "tiny", which is built from source and starts fastest, or the distribution\'s. If `boot` is absent the tiny one, as soon as it has been built.'
  })
})
/** @category models */
export type BuiltinBoot = typeof BuiltinBoot.Type

/** @category models */
export const BootConfig = Schema.Union(DirectBoot, FirmwareBoot, BuiltinBoot)
/** @category models */
export type BootConfig = typeof BootConfig.Type

/** Whether it starts a kernel of the user's own. @category guards */
export const isDirect = (boot: BootConfig | undefined): boot is DirectBoot => boot !== undefined && "kernel" in boot

/** Whether it starts the built-in guest. @category guards */
export const isBuiltin = (boot: BootConfig | undefined): boot is BuiltinBoot | undefined =>
  boot === undefined || "guest" in boot

/** Whether it starts firmware, not a kernel. @category guards */
export const isFirmware = (boot: BootConfig | undefined): boot is FirmwareBoot =>
  boot !== undefined && "firmware" in boot
