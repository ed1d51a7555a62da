/** What a backend can do, as data. */
import * as Schema from "effect/Schema"

/**
 * Whether a backend has something; where it has not, why: a clause that follows "because". `hint` is what gives it to this
 * host, if something does.
 *
 * @category models
 */
export const Support = Schema.Union(
  Schema.Struct({ supported: Schema.Literal(true) }),
  Schema.Struct({
    supported: Schema.Literal(false),
    reason: Schema.NonEmptyString,
    hint: Schema.optional(Schema.NonEmptyString)
  })
)
/** @category models */
export type Support = typeof Support.Type

/** What a backend has or has not. @category models */
export const Feature = Schema.Literal(
  "uefi",
  "disks",
  "qcow2",
  "ephemeralDisks",
  "shares",
  "userNetwork",
  "networkPolicy",
  "portForwards",
  "tapNetwork",
  "switchNetwork",
  "vsock",
  "balloon",
  "limits",
  "processIsolation",
  "mainProcess"
)
/** @category models */
export type Feature = typeof Feature.Type

/** @category models */
export const Features = Schema.Record({ key: Feature, value: Support })
/** @category models */
export type Features = typeof Features.Type

/** @category models */
export const Capabilities = Schema.Struct({
  /** Guest architectures. */
  architectures: Schema.Array(Schema.Literal("x86_64", "arm64")),
  /** Kernel images that can be booted directly. */
  kernels: Schema.Array(Schema.Literal("bzImage", "vmlinux", "Image")),
  /** Devices the console can be. */
  consoles: Schema.Array(Schema.Literal("serial", "virtio")),
  /** What Linux calls the serial port; `ttyS0` if absent. */
  serialPort: Schema.optional(Schema.String),
  /** How the guest may learn of its devices. */
  discovery: Schema.Array(Schema.Literal("firmware", "cmdline")),
  maxCpus: Schema.Int,
  maxMemoryMib: Schema.Int,
  pause: Schema.Boolean,
  powerButton: Schema.Boolean,
  /** A guest panic is told by a device, not guessed from the console. */
  panicNotifier: Schema.Boolean,
  /** Parameters that kernels need on it, as on their command line; a user's own win over them. */
  kernelParameters: Schema.optional(Schema.String),
  /** All else that a configuration can ask for. */
  features: Features
})
/** @category models */
export type Capabilities = typeof Capabilities.Type

/** What each feature is called, and the field that asks for it ("[]" stands for a place in a list). */
export const featureFields: Readonly<Record<Feature, { readonly name: string; readonly field: string }>> = {
  uefi: { name: "UEFI boot", field: "boot.firmware" },
  disks: { name: "disks", field: "disks" },
  qcow2: { name: "qcow2 images", field: "disks[].format" },
  ephemeralDisks: { name: "ephemeral disks", field: "disks[].ephemeral" },
  shares: { name: "shared folders", field: "shares" },
  userNetwork: { name: "user-mode networks", field: "network" },
  networkPolicy: { name: "network policies", field: "network.policy" },
  portForwards: { name: "port forwards", field: "network.forwards" },
  tapNetwork: { name: "TAP networks", field: "network" },
  switchNetwork: { name: "network switches", field: "network" },
  vsock: { name: "vsock", field: "vsock" },
  balloon: { name: "balloons", field: "balloon" },
  limits: { name: "resource limits", field: "limits" },
  processIsolation: { name: "jails", field: "isolation" },
  mainProcess: { name: "main processes", field: "main" }
}

/** @category constructors */
export const supported: Support = { supported: true }

/** @category constructors */
export const unsupported = (reason: string, hint?: string): Support => ({
  supported: false,
  reason,
  ...(hint === undefined ? {} : { hint })
})

/** All features refused for one reason: to start from, so that what is claimed is claimed one by one. @category constructors */
export const noFeatures = (reason: string): Features => {
  const no = unsupported(reason)
  return {
    uefi: no,
    disks: no,
    qcow2: no,
    ephemeralDisks: no,
    shares: no,
    userNetwork: no,
    networkPolicy: no,
    portForwards: no,
    tapNetwork: no,
    switchNetwork: no,
    vsock: no,
    balloon: no,
    limits: no,
    processIsolation: no,
    mainProcess: no
  }
}
