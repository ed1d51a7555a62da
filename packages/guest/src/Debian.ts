/**
 * The parts of our guests that come ready-made from the system's distribution: a kernel, and busybox.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Apt from "./Apt.ts"
import * as Architecture from "./Architecture.ts"
import * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"

/**
 * A distribution's kernel, unpacked.
 *
 * @since 0.1.0
 * @category models
 */
export interface DistributionKernel {
  /** Tells one build of the kernel from another. */
  readonly identity: string
  /** What bootloaders take: a bzImage, for arm64 an Image. */
  readonly kernel: string
  /** What `uname -r` says in the guest. */
  readonly release: string
  /** `lib/modules/RELEASE`. */
  readonly modules: string
}

/**
 * The kernel that the distribution builds for virtual machines: `linux-image-cloud-*` on Debian,
 * `linux-image-virtual` on Ubuntu.
 *
 * @since 0.1.0
 * @category images
 */
export const kernel = Effect.gen(function* () {
  const path = yield* Path.Path
  const name = Architecture.debianName[yield* Architecture.Target]
  const meta = yield* Apt.resolveFirst([`linux-image-cloud-${name}`, "linux-image-virtual"])
  const image = yield* Effect.flatMap(dependency(meta, /^linux-image-\d/), Apt.resolve)
  // Ubuntu packs the modules apart.
  const modules = image.depends.filter((name) => name.startsWith("linux-modules-"))
  const packages = [image, ...(yield* Effect.forEach(modules, Apt.resolve))]

  const release = image.name.replace(/^linux-image-/, "")
  const folder = yield* Cache.entry("linux", packages.map(Apt.identity), (folder) =>
    Effect.zipRight(Apt.unpack(packages, folder), unzip(path.join(folder, "boot", `vmlinuz-${release}`)))
  )
  return {
    identity: packages.map(Apt.identity).join(", "),
    kernel: path.join(folder, "boot", `vmlinuz-${release}`),
    release,
    modules: yield* inRootOrUsr(folder, `lib/modules/${release}`)
  } satisfies DistributionKernel
}).pipe(Effect.withSpan("Debian.kernel"))

/** Ubuntu's kernel for arm64 is compressed by gzip, which bootloaders for arm64 unpack and capsa doesn't. */
const unzip = Effect.fnUntraced(
  function* (file: string) {
    const fs = yield* FileSystem.FileSystem
    const bytes = yield* fs.readFile(file)
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) yield* fs.writeFile(file, Bun.gunzipSync(new Uint8Array(bytes)))
  },
  (effect, file) =>
    Effect.mapError(
      effect,
      (cause) =>
        new GuestError({
          reason: "BuildFailed",
          subject: `unpacking ${file}`,
          hint: "check that CAPSA_CACHE_DIR is writable and has space",
          cause
        })
    )
)

/**
 * A statically linked busybox.
 *
 * @since 0.1.0
 * @category models
 */
export interface Busybox {
  readonly program: string
  /** Tells one build of it from another. */
  readonly identity: string
}

/**
 * The distribution's busybox.
 *
 * @since 0.1.0
 * @category images
 */
export const busybox = Effect.gen(function* () {
  const found = yield* Apt.resolve("busybox-static")
  const folder = yield* Cache.entry("busybox", [Apt.identity(found)], (folder) => Apt.unpack([found], folder))
  return { program: yield* inRootOrUsr(folder, "bin/busybox"), identity: Apt.identity(found) } satisfies Busybox
}).pipe(Effect.withSpan("Debian.busybox"))

/** The package that a meta package stands for. */
export const dependency = (meta: Apt.Package, name: RegExp): Effect.Effect<string, GuestError> =>
  Effect.fromNullable(meta.depends.find((depend) => name.test(depend))).pipe(
    Effect.mapError(
      () =>
        new GuestError({
          reason: "PackageUnavailable",
          subject: `a package like ${name.source} behind ${meta.name} ${meta.version}`,
          hint: "this distribution names its kernels differently; use Debian or Ubuntu"
        })
    )
  )

/** Packages of a distribution with a merged /usr have their files below `usr`. */
const inRootOrUsr = Effect.fnUntraced(function* (folder: string, file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const inRoot = path.join(folder, file)
  return (yield* Effect.orElseSucceed(fs.exists(inRoot), () => false)) ? inRoot : path.join(folder, "usr", file)
})
