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
import * as Cache from "./Cache.ts"
import * as Debian from "./Debian.ts"
import { GuestError } from "./GuestError.ts"
import * as Initrd from "./Initrd.ts"
import * as KernelModules from "./KernelModules.ts"
import * as TinyKernel from "./TinyKernel.ts"
import * as Toolbox from "./Toolbox.ts"

/**
 * What a machine needs to boot; absolute paths.
 *
 * @since 0.1.0
 * @category models
 */
export const GuestImage = Schema.Struct({
  kernel: Schema.String,
  initrd: Schema.String,
  /** What `uname -r` says in the guest. */
  kernelRelease: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type GuestImage = typeof GuestImage.Type

/**
 * The distribution's unmodified kernel (a bzImage) with our initrd. The kernel finds virtio-mmio devices through ACPI
 * only.
 *
 * @since 0.1.0
 * @category images
 */
export const debian = Effect.gen(function* () {
  const init = yield* Initrd.init
  const recipe = [Initrd.revision, ...guestModules, Buffer.from(init).toString()]
  return yield* Cache.remembered("debian", recipe, GuestImage, Apt.retryWithFreshLists(buildDebian))
}).pipe(Effect.withSpan("GuestImages.debian"))

const buildDebian = Effect.gen(function* () {
  const kernel = yield* Debian.kernel
  const initrd = yield* initrdFor("debian-initrd", kernel.identity, KernelModules.closure(kernel.modules, guestModules))
  return { kernel: kernel.bzImage, initrd, kernelRelease: kernel.release } satisfies GuestImage
})

/**
 * A tiny image also comes as a bzImage, and tells what it was built from.
 *
 * @since 0.1.0
 * @category models
 */
export const TinyImage = Schema.Struct({
  ...GuestImage.fields,
  /** The same file as `kernel`. */
  vmlinux: Schema.String,
  bzImage: Schema.String,
  config: Schema.String,
  provenance: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type TinyImage = typeof TinyImage.Type

/**
 * Our own small kernel (`kernel` is its ELF image) with our initrd: boots fastest, finds virtio-mmio devices through
 * ACPI or `virtio_mmio.device=`.
 *
 * @since 0.1.0
 * @category images
 */
export const tiny = Effect.gen(function* () {
  const init = yield* Initrd.init
  const recipe = [Initrd.revision, Buffer.from(init).toString(), ...(yield* TinyKernel.recipe)]
  return yield* Cache.remembered("tiny", recipe, TinyImage, Apt.retryWithFreshLists(buildTiny))
}).pipe(Effect.withSpan("GuestImages.tiny"))

const buildTiny = Effect.gen(function* () {
  const { vmlinux, bzImage, config, provenance, release } = yield* TinyKernel.kernel
  const initrd = yield* initrdFor("tiny-initrd", "", Effect.succeed([]))
  return {
    kernel: vmlinux,
    initrd,
    kernelRelease: release,
    vmlinux,
    bzImage,
    config,
    provenance
  } satisfies TinyImage
})

/**
 * A disk with fio, git, e2fsprogs, socat and others, our init and the same shell prompt. The tiny kernel boots it as
 * `root=/dev/vda`, without an initrd.
 *
 * @since 0.1.0
 * @category images
 */
export const toolbox = Effect.gen(function* () {
  const init = yield* Initrd.init
  const recipe = [...Toolbox.recipe, Buffer.from(init).toString()]
  return yield* Cache.remembered("toolbox", recipe, Toolbox.Toolbox, Apt.retryWithFreshLists(Toolbox.image))
}).pipe(Effect.withSpan("GuestImages.toolbox"))

/** What Debian and Ubuntu build as modules of the devices that a capsa machine has, and the usual file system of disks. */
const guestModules = [
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

/** `kernel` tells apart kernels whose modules differ. */
const initrdFor = Effect.fnUntraced(function* <R>(
  name: string,
  kernel: string,
  modules: Effect.Effect<ReadonlyArray<KernelModules.KernelModule>, GuestError, R>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const init = yield* Initrd.init
  const busybox = yield* Debian.busybox
  const inputs = [Initrd.revision, ...guestModules, kernel, busybox.identity, Buffer.from(init).toString()]
  const folder = yield* Cache.entry(name, inputs, (folder) =>
    Effect.gen(function* () {
      const archive = Initrd.encode({
        init,
        busybox: yield* fs.readFile(busybox.program),
        modules: yield* modules,
        extra: [...Initrd.powerButton, ...Initrd.network]
      })
      yield* fs.writeFile(path.join(folder, "initrd"), archive)
    }).pipe(Effect.catchTags({ BadArgument: failed, SystemError: failed }))
  )
  return path.join(folder, "initrd")
})

const failed = (cause: unknown) =>
  new GuestError({
    reason: "BuildFailed",
    subject: "writing the initrd",
    hint: "check that CAPSA_CACHE_DIR is writable and has space",
    cause
  })
