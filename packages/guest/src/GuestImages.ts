/**
 * Bootable pairs of a kernel and an initrd, built on first use and then taken from the cache.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Apt from "./Apt.ts"
import * as Architecture from "./Architecture.ts"
import * as Busybox from "./Busybox.ts"
import * as Cache from "./Cache.ts"
import type * as Cpio from "./Cpio.ts"
import * as Debian from "./Debian.ts"
import * as GuestAgent from "./GuestAgent.ts"
import { GuestError } from "./GuestError.ts"
import * as Initrd from "./Initrd.ts"
import { sha256 } from "./internal/sha256.ts"
import * as KernelModules from "./KernelModules.ts"
import * as Systemd from "./Systemd.ts"
import * as TinyBusybox from "./TinyBusybox.ts"
import * as TinyKernel from "./TinyKernel.ts"
import * as Toolbox from "./Toolbox.ts"
import * as UefiDisk from "./UefiDisk.ts"

/**
 * What a machine needs to boot; absolute paths.
 *
 * @since 0.1.0
 * @category models
 */
export const GuestImage = Schema.Struct({
  kernel: Schema.String,
  initrd: Schema.String,
  /** JSON: what the initrd was built from, and hashes. */
  initrdProvenance: Schema.String,
  /** What `uname -r` says in the guest. */
  kernelRelease: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type GuestImage = typeof GuestImage.Type

/**
 * The distribution's unmodified kernel (a bzImage, or an Image for arm64) with our initrd, for `Architecture.Target`.
 * The kernel finds virtio-mmio devices through ACPI, or the device tree, only.
 *
 * @since 0.1.0
 * @category images
 */
export const debian = Effect.suspend(() => debianRecipe).pipe(
  Effect.flatMap((recipe) => Cache.remembered("debian", recipe, GuestImage, Apt.retryWithFreshLists(buildDebian))),
  Effect.withSpan("GuestImages.debian")
)

const buildDebian = Effect.gen(function* () {
  const kernel = yield* Debian.kernel
  const modules = KernelModules.closure(kernel.modules, yield* guestModules)
  const initrd = yield* initrdFor("debian-initrd", yield* Debian.busybox, kernel.identity, modules)
  return { kernel: kernel.kernel, ...initrd, kernelRelease: kernel.release } satisfies GuestImage
})

/**
 * A tiny image also tells what it was built from.
 *
 * @since 0.1.0
 * @category models
 */
export const TinyImage = Schema.Struct({
  ...GuestImage.fields,
  config: Schema.String,
  provenance: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type TinyImage = typeof TinyImage.Type

/**
 * That for x86_64 also comes as a bzImage.
 *
 * @since 0.1.0
 * @category models
 */
export const TinyX86Image = Schema.Struct({
  ...TinyImage.fields,
  /** The same file as `kernel`. */
  vmlinux: Schema.String,
  bzImage: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type TinyX86Image = typeof TinyX86Image.Type

/**
 * Our own small kernel for x86_64 (`kernel` is its ELF image) with an initrd of under 1 MiB, for which busybox is built as
 * well: boots fastest, finds virtio-mmio devices through ACPI or `virtio_mmio.device=`.
 *
 * @since 0.1.0
 * @category images
 */
export const tiny = Effect.suspend(() => tinyRecipe).pipe(
  Effect.flatMap((recipe) => Cache.remembered("tiny", recipe, TinyX86Image, Apt.retryWithFreshLists(buildTinyX86))),
  Effect.provideService(Architecture.Target, "x86_64"),
  Effect.withSpan("GuestImages.tiny")
)

/**
 * The same for arm64, where `kernel` is an Image and devices are found through the device tree.
 *
 * @since 0.1.0
 * @category images
 */
export const tinyArm64 = Effect.suspend(() => tinyRecipe).pipe(
  Effect.flatMap((recipe) => Cache.remembered("tiny", recipe, TinyImage, Apt.retryWithFreshLists(buildTinyArm64))),
  Effect.provideService(Architecture.Target, "arm64"),
  Effect.withSpan("GuestImages.tinyArm64")
)

/**
 * The tiny image for `Architecture.Target`.
 *
 * @since 0.1.0
 * @category images
 */
export const tinyOfTarget: Effect.Effect<TinyImage, GuestError, Cache.BuildContext> = Effect.flatMap(
  Architecture.Target,
  (target): Effect.Effect<TinyImage, GuestError, Cache.BuildContext> => (target === "arm64" ? tinyArm64 : tiny)
)

const buildTiny = Effect.gen(function* () {
  const { config, image, provenance, release } = yield* TinyKernel.kernel
  const initrd = yield* initrdFor("tiny-initrd", yield* TinyBusybox.busybox, "", Effect.succeed([]))
  return { image, files: { ...initrd, kernelRelease: release, config, provenance } }
})

const buildTinyX86 = Effect.map(buildTiny, ({ files, image }): TinyX86Image => {
  const vmlinux = image("vmlinux")
  return { ...files, kernel: vmlinux, vmlinux, bzImage: image("bzImage") }
})

const buildTinyArm64 = Effect.map(buildTiny, ({ files, image }): TinyImage => ({ ...files, kernel: image("Image") }))

/**
 * A disk with fio, git, e2fsprogs, socat and others, our init and the same shell prompt. The tiny kernel boots it as
 * `root=/dev/vda`, without an initrd. For `Architecture.Target`.
 *
 * @since 0.1.0
 * @category images
 */
export const toolbox = Effect.gen(function* () {
  const recipe = [...Toolbox.recipe, yield* GuestAgent.sources, yield* Architecture.Target]
  return yield* Cache.remembered("toolbox", recipe, Toolbox.Toolbox, Apt.retryWithFreshLists(Toolbox.image))
}).pipe(Effect.withSpan("GuestImages.toolbox"))

/**
 * A disk from which UEFI firmware starts the distribution's kernel with our initrd, and with what shows the firmware's
 * variables. For x86_64.
 *
 * @since 0.1.0
 * @category images
 */
export const uefi = Effect.suspend(() => debianRecipe).pipe(
  Effect.flatMap((recipe) =>
    Cache.remembered(
      "uefi",
      [...recipe, ...UefiDisk.recipe],
      UefiDisk.UefiDisk,
      Apt.retryWithFreshLists(Effect.suspend(() => buildUefi))
    )
  ),
  Effect.provideService(Architecture.Target, "x86_64"),
  Effect.withSpan("GuestImages.uefi")
)

const buildUefi = Effect.gen(function* () {
  const kernel = yield* Debian.kernel
  const modules = KernelModules.closure(kernel.modules, [...(yield* guestModules), "efivarfs"])
  const { initrd } = yield* initrdFor("uefi-initrd", yield* Debian.busybox, kernel.identity, modules)
  return yield* UefiDisk.image(kernel.kernel, initrd)
})

/**
 * A disk with the distribution and its systemd, on which `Systemd.account` can log in. The other images' initrds make it the
 * root with `capsa.init=/bin/disk-root root=/dev/vda rw`. For x86_64.
 *
 * @since 0.1.0
 * @category images
 */
export const systemd = Effect.suspend(() =>
  Cache.remembered("systemd", Systemd.recipe, Systemd.Systemd, Apt.retryWithFreshLists(Systemd.image))
).pipe(Effect.provideService(Architecture.Target, "x86_64"), Effect.withSpan("GuestImages.systemd"))

/**
 * The images with a kernel for `Architecture.Target` that are in the cache; nothing is built.
 *
 * @since 0.1.0
 * @category images
 */
export const built = Effect.all({
  debian: Effect.suspend(() => debianRecipe).pipe(
    Effect.flatMap((recipe) => Cache.recalled("debian", recipe, GuestImage))
  ),
  tiny: Effect.suspend(() => tinyRecipe).pipe(Effect.flatMap((recipe) => Cache.recalled("tiny", recipe, TinyImage)))
})

/** What Debian and Ubuntu build as modules of the devices that a capsa machine has, and the usual file system of disks. */
const moduleNames = [
  "virtio_mmio",
  "virtio_pci",
  "virtio_console",
  "virtio_blk",
  "ext4",
  "virtio_net",
  "virtio-rng",
  "virtio_balloon",
  "virtiofs",
  "vmw_vsock_virtio_transport",
  "button",
  "evdev",
  "pvpanic-mmio",
  "pvpanic-pci"
]

/** The power button of an arm64 machine is a keyboard with one key. */
const guestModules = Effect.map(Architecture.Target, (target) =>
  target === "arm64" ? [...moduleNames, "virtio_input"] : moduleNames
)

/** Changes when what is below gives another initrd for the same parts. */
const revision = "3"

const debianRecipe = Effect.map(Effect.all([guestModules, GuestAgent.sources]), ([modules, sources]) => [
  Initrd.revision,
  revision,
  ...modules,
  sources
])

const tinyRecipe = Effect.gen(function* () {
  const parts = [...(yield* TinyKernel.recipe), ...(yield* TinyBusybox.recipe)]
  return [Initrd.revision, revision, yield* GuestAgent.sources, ...parts]
})

/**
 * What an initrd was built from, as it is kept beside it. The sources are texts that tell one build's inputs from any
 * other's.
 *
 * @since 0.1.0
 * @category models
 */
export const InitrdProvenance = Schema.Struct({
  agent: Schema.Struct({
    version: Schema.String,
    bytes: Schema.Int,
    sha256: Schema.String,
    /** A hash of its sources. */
    sources: Schema.String,
    compiler: Schema.String,
    library: Schema.String
  }),
  busybox: Schema.Struct({ source: Schema.String, bytes: Schema.Int, sha256: Schema.String }),
  /** The kernel whose modules there are; empty if there are none. */
  kernel: Schema.String,
  bytes: Schema.Int,
  sha256: Schema.String
})

/** `kernel` tells apart kernels whose modules differ. */
const initrdFor = Effect.fnUntraced(function* <R>(
  name: string,
  busybox: Debian.Busybox,
  kernel: string,
  modules: Effect.Effect<ReadonlyArray<KernelModules.KernelModule>, GuestError, R>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const agent = yield* GuestAgent.agent
  const inputs = [
    Initrd.revision,
    revision,
    ...(yield* guestModules),
    kernel,
    busybox.identity,
    ...Object.values(agent.provenance)
  ]
  const folder = yield* Cache.entry(name, inputs, (folder) =>
    Effect.gen(function* () {
      const init = yield* fs.readFile(agent.program)
      const program = yield* fs.readFile(busybox.program)
      const archive = Initrd.encode({
        init,
        busybox: program,
        modules: yield* modules,
        extra: [...userDatabase, ...places, diskRoot, ...commands(program)]
      })
      yield* fs.writeFile(path.join(folder, "initrd"), archive)
      const provenance = {
        agent: { version: agent.version, ...measured(init), ...agent.provenance },
        busybox: { source: busybox.identity, ...measured(program) },
        kernel,
        ...measured(archive)
      } satisfies typeof InitrdProvenance.Type
      yield* fs.writeFileString(path.join(folder, "provenance.json"), `${JSON.stringify(provenance, null, 2)}\n`)
    }).pipe(Effect.catchTags({ BadArgument: failed, SystemError: failed }))
  )
  return { initrd: path.join(folder, "initrd"), initrdProvenance: path.join(folder, "provenance.json") }
})

const measured = (content: Uint8Array) => ({ bytes: content.length, sha256: sha256(content) })

const text = new TextEncoder()

/** Who there is: root, and somebody who may do nothing. */
const userDatabase: ReadonlyArray<Cpio.Entry> = [
  {
    type: "file",
    path: "etc/passwd",
    content: text.encode("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
  },
  { type: "file", path: "etc/group", content: text.encode("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n") }
]

/** Where scripts and people look for commands. */
const places: ReadonlyArray<Cpio.Entry> = [
  { type: "folder", path: "usr" },
  { type: "link", path: "usr/bin", target: "../bin" },
  { type: "link", path: "usr/sbin", target: "../bin" },
  { type: "link", path: "sbin", target: "bin" }
]

/** For `capsa.init=`: makes the disk of `root=` the root file system, as the kernel does where it has the drivers built in. */
const diskRoot: Cpio.Entry = {
  type: "file",
  path: "bin/disk-root",
  executable: true,
  content: text.encode(`#!/bin/sh
type=ext4 flags=ro init=/sbin/init more=
for word in $(cat /proc/cmdline); do
  case $word in
    root=*) root=\${word#root=} ;;
    rootfstype=*) type=\${word#rootfstype=} ;;
    rootflags=*) more=,\${word#rootflags=} ;;
    ro | rw) flags=$word ;;
    init=*) init=\${word#init=} ;;
  esac
done
umount /tmp /run /dev/shm /sys/fs/cgroup
mkdir /root
mount -t "$type" -o "$flags$more" "$root" /root || exit
for folder in dev proc sys; do mount -o move /$folder /root/$folder; done
exec switch_root /root "$init"
`)
}

/** A shell finds busybox's commands by itself; a program that is started without one needs a file. */
const commands = (busybox: Uint8Array): ReadonlyArray<Cpio.Entry> =>
  Busybox.commandsOf(busybox)
    .filter((name) => name !== "sh" && name !== "busybox")
    .map((name) => ({ type: "link", path: `bin/${name}`, target: "busybox" }))

const failed = (cause: unknown) =>
  new GuestError({
    reason: "BuildFailed",
    subject: "writing the initrd",
    hint: "check that CAPSA_CACHE_DIR is writable and has space",
    cause
  })
