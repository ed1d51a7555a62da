/**
 * Bootable pairs of a kernel and an initrd, built on first use and then taken from the cache.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Apt from "./Apt.ts"
import * as Cache from "./Cache.ts"
import * as Debian from "./Debian.ts"
import { GuestError } from "./GuestError.ts"
import * as Initrd from "./Initrd.ts"
import * as KernelModules from "./KernelModules.ts"
import * as TinyKernel from "./TinyKernel.ts"

/**
 * What a machine needs to boot; absolute paths.
 *
 * @since 0.1.0
 * @category models
 */
export interface GuestImage {
  readonly kernel: string
  readonly initrd: string
  /** What `uname -r` says in the guest. */
  readonly kernelRelease: string
}

/**
 * The distribution's unmodified kernel (a bzImage) with our initrd. The kernel finds virtio-mmio devices through ACPI
 * only.
 *
 * @since 0.1.0
 * @category images
 */
export const debian = Effect.gen(function* () {
  const kernel = yield* Debian.kernel
  const initrd = yield* initrdFor("debian-initrd", kernel.identity, KernelModules.closure(kernel.modules, guestModules))
  return { kernel: kernel.bzImage, initrd, kernelRelease: kernel.release } satisfies GuestImage
}).pipe(Apt.retryWithFreshLists, Effect.withSpan("GuestImages.debian"))

/**
 * A tiny image also comes as a bzImage, and tells what it was built from.
 *
 * @since 0.1.0
 * @category models
 */
export interface TinyImage extends GuestImage {
  /** The same file as `kernel`. */
  readonly vmlinux: string
  readonly bzImage: string
  readonly config: string
  readonly provenance: string
}

/**
 * Our own small kernel (`kernel` is its ELF image) with our initrd: boots fastest, finds virtio-mmio devices through
 * ACPI or `virtio_mmio.device=`.
 *
 * @since 0.1.0
 * @category images
 */
export const tiny = Effect.gen(function* () {
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
}).pipe(Apt.retryWithFreshLists, Effect.withSpan("GuestImages.tiny"))

/** What Debian and Ubuntu build as modules of the devices that a capsa machine has. */
const guestModules = [
  "virtio_mmio",
  "virtio_pci",
  "virtio_console",
  "virtio_blk",
  "virtio_net",
  "virtio-rng",
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
        extra: Initrd.powerButton
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
