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
 * The distribution's unmodified kernel (a bzImage, or an Image for arm64) with our initrd, for `Architecture.Target`.
 * The kernel finds virtio-mmio devices through ACPI, or the device tree, only.
 *
 * @since 0.1.0
 * @category images
 */
export const debian = Effect.gen(function* () {
  const init = yield* Initrd.init
  const recipe = [Initrd.revision, ...(yield* guestModules), Buffer.from(init).toString()]
  return yield* Cache.remembered("debian", recipe, GuestImage, Apt.retryWithFreshLists(buildDebian))
}).pipe(Effect.withSpan("GuestImages.debian"))

const buildDebian = Effect.gen(function* () {
  const kernel = yield* Debian.kernel
  const modules = KernelModules.closure(kernel.modules, yield* guestModules)
  const initrd = yield* initrdFor("debian-initrd", kernel.identity, modules)
  return { kernel: kernel.kernel, initrd, kernelRelease: kernel.release } satisfies GuestImage
})

const tinyFields = {
  ...GuestImage.fields,
  config: Schema.String,
  /** Tells what it was built from. */
  provenance: Schema.String
}

/**
 * The tiny image for x86_64 also comes as a bzImage.
 *
 * @since 0.1.0
 * @category models
 */
export const TinyImage = Schema.Struct({
  ...tinyFields,
  /** The same file as `kernel`. */
  vmlinux: Schema.String,
  bzImage: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type TinyImage = typeof TinyImage.Type

/**
 * Our own small kernel for x86_64 (`kernel` is its ELF image) with our initrd: boots fastest, finds virtio-mmio devices
 * through ACPI or `virtio_mmio.device=`.
 *
 * @since 0.1.0
 * @category images
 */
export const tiny = Effect.gen(function* () {
  const build = Effect.map(buildTiny, ({ image, ...files }) => {
    const vmlinux = image("vmlinux")
    return { ...files, kernel: vmlinux, vmlinux, bzImage: image("bzImage") } satisfies TinyImage
  })
  return yield* Cache.remembered("tiny", yield* tinyRecipe, TinyImage, Apt.retryWithFreshLists(build))
}).pipe(Effect.provideService(Architecture.Target, "x86_64"), Effect.withSpan("GuestImages.tiny"))

/**
 * @since 0.1.0
 * @category models
 */
export const TinyArm64Image = Schema.Struct(tinyFields)
/**
 * @since 0.1.0
 * @category models
 */
export type TinyArm64Image = typeof TinyArm64Image.Type

/**
 * The same for arm64, where `kernel` is an Image.
 *
 * @since 0.1.0
 * @category images
 */
export const tinyArm64 = Effect.gen(function* () {
  const build = Effect.map(
    buildTiny,
    ({ image, ...files }) => ({ ...files, kernel: image("Image") }) satisfies TinyArm64Image
  )
  return yield* Cache.remembered("tiny", yield* tinyRecipe, TinyArm64Image, Apt.retryWithFreshLists(build))
}).pipe(Effect.provideService(Architecture.Target, "arm64"), Effect.withSpan("GuestImages.tinyArm64"))

const tinyRecipe = Effect.gen(function* () {
  const init = yield* Initrd.init
  return [Initrd.revision, Buffer.from(init).toString(), ...(yield* TinyKernel.recipe)]
})

const buildTiny = Effect.gen(function* () {
  const { config, image, provenance, release } = yield* TinyKernel.kernel
  const initrd = yield* initrdFor("tiny-initrd", "", Effect.succeed([]))
  return { image, initrd, kernelRelease: release, config, provenance }
})

/** What Debian and Ubuntu build as modules of the devices that a capsa machine has. */
const moduleNames = [
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

/** The power button of an arm64 machine is a keyboard with one key. */
const guestModules = Effect.map(Architecture.Target, (target) =>
  target === "arm64" ? [...moduleNames, "virtio_input"] : moduleNames
)

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
  const inputs = [Initrd.revision, ...(yield* guestModules), kernel, busybox.identity, Buffer.from(init).toString()]
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
