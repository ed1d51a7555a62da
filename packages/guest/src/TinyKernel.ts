/**
 * A kernel of our own: the distribution's kernel source with everything left out that a capsa machine has no use
 * for, and nothing as a module.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Apt from "./Apt.ts"
import * as Architecture from "./Architecture.ts"
import * as Cache from "./Cache.ts"
import { dependency } from "./Debian.ts"
import { GuestError } from "./GuestError.ts"
import { compiler, compilerPackages, toolPrefix } from "./internal/compiler.ts"
import { output } from "./internal/run.ts"
import { sha256 } from "./internal/sha256.ts"
import { stage } from "./Progress.ts"

/**
 * Absolute paths of what a build gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface TinyKernel {
  /** The folder in the cache; its name changes whenever an input of the build does. */
  readonly folder: string
  /** The kernel in each form that it was built in: `vmlinux` (an ELF image with a PVH entry) and `bzImage`, or `Image`. */
  readonly image: (name: string) => string
  /** The configuration that the kernel was really built with. */
  readonly config: string
  /** JSON: versions of the source and of the compiler, and hashes of source, configuration and images. */
  readonly provenance: string
  /** What `uname -r` says in the guest. */
  readonly release: string
}

/**
 * What a kernel was built from, as it is kept beside it, and hashes.
 *
 * @since 0.1.0
 * @category models
 */
export const Provenance = Schema.Struct({
  release: Schema.String,
  source: Schema.Struct({ package: Schema.String, version: Schema.String, sha256: Schema.String }),
  compiler: Schema.String,
  fragment: Schema.String,
  config: Schema.String,
  vmlinux: Schema.optional(Schema.String),
  bzImage: Schema.optional(Schema.String),
  Image: Schema.optional(Schema.String)
})

/**
 * What is ours of the build's inputs: its steps' revision, and the configuration fragment.
 *
 * @since 0.1.0
 * @category configuration
 */
export const recipe: Effect.Effect<readonly [revision: string, fragment: string], GuestError, FileSystem.FileSystem> =
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    return [buildRevision, yield* fs.readFileString(fragmentFile(yield* Architecture.Target))] as const
  }).pipe(Effect.mapError((cause) => failed("reading the kernel's configuration")(cause)))

/**
 * Builds the kernel unless it is in the cache; about three minutes on two cores. The architecture is
 * `Architecture.Target`.
 *
 * @since 0.1.0
 * @category images
 */
export const kernel = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const architecture = yield* Architecture.Target
  const [, fragment] = yield* recipe
  const meta = yield* Apt.resolve("linux-source")
  const source = yield* Effect.flatMap(dependency(meta, /^linux-source-\d/), Apt.resolve)
  const folder = yield* Cache.entry("tiny", [buildRevision, Apt.identity(source), fragment], (folder) =>
    build(architecture, source, fragment, folder)
  )
  const release = yield* Effect.mapError(
    fs.readFileString(path.join(folder, "release")),
    failed("reading the kernel's release")
  )
  return {
    folder,
    image: (name) => path.join(folder, name),
    config: path.join(folder, "config"),
    provenance: path.join(folder, "provenance.json"),
    release: release.trim()
  } satisfies TinyKernel
}).pipe(Effect.withSpan("TinyKernel.kernel"))

/**
 * The lines of a configuration fragment that `config` does not have as written.
 *
 * @since 0.1.0
 * @category configuration
 */
export const notApplied = (fragment: string, config: string): ReadonlyArray<string> => {
  const lines = new Set(config.split("\n"))
  return fragment.split("\n").filter((line) => {
    const unset = /^# (CONFIG_\w+) is not set$/.exec(line)?.[1]
    // An option whose conditions are not met does not appear at all.
    if (unset !== undefined) return !lines.has(line) && config.includes(`\n${unset}=`)
    return line.startsWith("CONFIG_") && !lines.has(line)
  })
}

/** Changes when the steps below change what they build. */
const buildRevision = "1"

/**
 * The configuration fragment, merged over allnoconfig.
 *
 * @since 0.1.0
 * @category configuration
 */
export const fragmentFile = (architecture: Architecture.Architecture): string =>
  Bun.fileURLToPath(new URL(`../kernel/tiny-${architecture}.config`, import.meta.url))

/** How a kernel for one architecture is built. */
interface Target {
  /** The name of the architecture in the kernel's source. */
  readonly name: string
  /** Name and place in the source tree of each image; the last is the one that make is asked for. */
  readonly images: Readonly<Record<string, string>>
  /** Programs that it needs beside those of every kernel. */
  readonly tools: ReadonlyArray<string>
}

const targets: Readonly<Record<Architecture.Architecture, Target>> = {
  x86_64: {
    name: "x86_64",
    images: { vmlinux: "vmlinux", bzImage: "arch/x86/boot/bzImage" },
    tools: ["lz4"]
  },
  arm64: { name: "arm64", images: { Image: "arch/arm64/boot/Image" }, tools: [] }
}

const build = Effect.fn("TinyKernel.build")(
  function* (architecture: Architecture.Architecture, source: Apt.Package, fragment: string, folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const target = targets[architecture]
    const prefix = toolPrefix(architecture)
    yield* checkTools(architecture)
    // Beside the result, not in the temporary folder: the source tree may be more than a tmpfs holds.
    const work = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(folder) })
    yield* Apt.unpack([source], work)
    const packed = (yield* fs.readDirectory(path.join(work, "usr/src"))).find((file) => file.includes(".tar."))
    const tree = path.join(work, "tree")
    yield* fs.makeDirectory(tree)
    yield* output(
      Command.make("tar", "-C", tree, "--strip-components=1", "-xf", path.join(work, "usr/src", packed ?? ""))
    )

    const merged = path.join(work, "fragment")
    yield* fs.writeFileString(merged, fragment)
    const make = (...targets: Array<string>) =>
      Command.make("make", "-C", tree, ...targets).pipe(
        // With a fixed date, user and host the same source, fragment and compiler give the same images.
        Command.env({
          ARCH: target.name,
          CROSS_COMPILE: prefix,
          KCONFIG_ALLCONFIG: merged,
          KBUILD_BUILD_TIMESTAMP: "@0",
          KBUILD_BUILD_USER: "capsa",
          KBUILD_BUILD_HOST: "capsa",
          LC_ALL: "C"
        })
      )
    yield* stage("configuring the tiny kernel")
    yield* output(make("allnoconfig"))
    const config = yield* fs.readFileString(path.join(tree, ".config"))
    const ignored = notApplied(fragment, config)
    if (ignored.length > 0) {
      return yield* new GuestError({
        reason: "BuildFailed",
        subject: `the kernel's configuration: not taken as written: ${ignored.join(", ")}`,
        hint: `adapt its fragment in packages/guest/kernel to ${source.name} ${source.version}`
      })
    }

    const jobs = (yield* output(Command.make("nproc"))).toString().trim()
    let compiled = 0
    const images = Object.entries(target.images)
    yield* output(make(`-j${jobs}`, images.at(-1)?.[0] ?? "all"), (line) =>
      /^ {2}(CC|AS) /.test(line) ? stage(`compiling the tiny kernel (file ${++compiled})`) : Effect.void
    )

    const release = (yield* output(make("-s", "kernelrelease"))).toString().trim()
    for (const [name, place] of images) {
      const [from, to] = [path.join(tree, place), path.join(folder, name)]
      if (name === "vmlinux") yield* output(Command.make(`${prefix}strip`, "--strip-debug", "-o", to, from))
      else yield* fs.copyFile(from, to)
    }
    yield* fs.writeFileString(path.join(folder, "config"), config)
    yield* fs.writeFileString(path.join(folder, "release"), `${release}\n`)
    const provenance = {
      release,
      source: { package: source.name, version: source.version, sha256: source.sha256 },
      compiler: yield* compiler,
      fragment: sha256(fragment),
      config: sha256(config),
      ...Object.fromEntries(
        yield* Effect.forEach(images, ([name]) =>
          Effect.map(fs.readFile(path.join(folder, name)), (image) => [name, sha256(image)])
        )
      )
    } satisfies typeof Provenance.Type
    yield* fs.writeFileString(path.join(folder, "provenance.json"), `${JSON.stringify(provenance, null, 2)}\n`)
  },
  Effect.scoped,
  Effect.catchTags({ BadArgument: failed("building the tiny kernel"), SystemError: failed("building the tiny kernel") })
)

/** What every build runs, and a file of the library that objtool links. */
const tools = ["make", "gcc", "ld", "flex", "bison", "bc", "tar", "xz", "nproc"]
const libelfHeader = "/usr/include/gelf.h"

const checkTools = Effect.fnUntraced(function* (architecture: Architecture.Architecture) {
  const fs = yield* FileSystem.FileSystem
  const prefixed = ["gcc", "ld", "strip"].map((tool) => `${toolPrefix(architecture)}${tool}`)
  const missing = [...tools, ...prefixed, ...targets[architecture].tools].filter((tool) => Bun.which(tool) === null)
  if (!(yield* fs.exists(libelfHeader))) missing.push("libelf-dev")
  if (missing.length > 0) {
    return yield* new GuestError({
      reason: "ToolMissing",
      subject: missing.join(", "),
      hint: `\`bun run setup\` installs them, or: apt-get install make gcc binutils flex bison bc lz4 xz-utils libelf-dev ${compilerPackages(architecture)}`
    })
  }
})

function failed(subject: string) {
  return (cause: unknown) =>
    new GuestError({
      reason: "BuildFailed",
      subject,
      hint: "check that the temporary folder and CAPSA_CACHE_DIR are writable and have 3 GB of space",
      cause
    })
}
