/**
 * Packages of the system's own distribution, fetched with apt and unpacked without being installed. Works without
 * root: apt's state is a folder of ours in the cache, its sources and keys are the system's. So packages of another
 * architecture (`Architecture.Target`) need no change to the system's settings; Debian's sources have all of them.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Architecture from "./Architecture.ts"
import * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"
import { output, run } from "./internal/run.ts"
import { stage } from "./Progress.ts"

/**
 * A package as the sources offer it. `sha256` is apt's word for the archive's content, so it identifies a build's
 * input without fetching it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Package {
  readonly name: string
  readonly version: string
  readonly sha256: string
  readonly depends: ReadonlyArray<string>
}

/**
 * The package `name`. The package lists are fetched when they do not have it, and else kept: the same cache gives the
 * same versions until a version has gone from the sources, or `refresh` ran.
 *
 * @since 0.1.0
 * @category packages
 */
export const resolve = (name: string) => resolveFirst([name])

/**
 * The first of `names` that the sources have, for what distributions call differently. See `resolve`.
 *
 * @since 0.1.0
 * @category packages
 */
export const resolveFirst = Effect.fn("Apt.resolveFirst")(function* (names: ReadonlyArray<string>) {
  const known = yield* showFirst(names)
  if (Option.isSome(known)) return known.value
  const complaints = yield* refresh
  const found = yield* showFirst(names)
  return Option.isSome(found) ? found.value : yield* unavailable(names.join(" or "), complaints)
})

/**
 * Tells one build of a package from any other; for cache keys.
 *
 * @since 0.1.0
 * @category packages
 */
export const identity = (of: Package): string => `${of.name}=${of.version} sha256:${of.sha256}`

/**
 * Fetches the package lists anew. Gives what apt complained about: a source that cannot be reached is no failure as
 * long as the others have what is wanted.
 *
 * @since 0.1.0
 * @category packages
 */
export const refresh: Effect.Effect<string, GuestError, Cache.BuildContext> = Effect.gen(function* () {
  yield* stage("fetching package lists")
  const { options, lists } = yield* state
  yield* Cache.lock(lists)
  const update = yield* run(Command.make("apt-get", ...options, "-q", "update"))
  return update.stderrTail
}).pipe(Effect.scoped, Effect.withSpan("Apt.refresh"))

/**
 * Runs `build`, and once more with fresh package lists when a version that the lists name is no longer offered.
 *
 * @since 0.1.0
 * @category packages
 */
export const retryWithFreshLists = <A, E, R>(
  build: Effect.Effect<A, E | GuestError, R>
): Effect.Effect<A, E | GuestError, R | Cache.BuildContext> =>
  Effect.catchIf(
    build,
    (error) => error instanceof GuestError && error.reason === "PackageUnavailable",
    () => Effect.zipRight(refresh, build)
  )

/**
 * Fetches a package and unpacks its files into `folder`. apt checks the archive against the signed lists.
 *
 * @since 0.1.0
 * @category packages
 */
export const unpack = Effect.fn("Apt.unpack")(function* (wanted: Package, folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { options } = yield* state
  yield* stage(`fetching ${wanted.name} ${wanted.version}`)
  const { download, files, result } = yield* Effect.gen(function* () {
    const download = yield* fs.makeTempDirectoryScoped()
    const get = Command.make("apt-get", ...options, "-q", "download", `${wanted.name}=${wanted.version}`)
    const result = yield* run(Command.workingDirectory(get, download))
    return { download, files: yield* fs.readDirectory(download), result }
  }).pipe(Effect.catchTags({ BadArgument: unusable, SystemError: unusable }))
  const archive = files.find((file) => file.endsWith(".deb"))
  if (archive === undefined) return yield* unavailable(`${wanted.name} ${wanted.version}`, result.stderrTail)
  yield* stage(`unpacking ${wanted.name}`)
  yield* output(Command.make("dpkg-deb", "-x", path.join(download, archive), folder))
}, Effect.scoped)

const showFirst = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  for (const name of names) {
    const found = yield* show(name)
    if (Option.isSome(found)) return found
  }
  return Option.none<Package>()
})

/** What the lists say of a package, if anything. */
const show = Effect.fnUntraced(function* (name: string) {
  const { options } = yield* state
  const shown = yield* run(Command.make("apt-cache", ...options, "show", "--no-all-versions", name))
  const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(shown.stdout.toString())?.[1]
  const version = field("Version")
  const sha256 = field("SHA256")
  if (version === undefined || sha256 === undefined) return Option.none<Package>()
  const depends = (field("Depends") ?? "").split(",").flatMap((term) => /^[^\s|(:]+/.exec(term.trim()) ?? [])
  return Option.some<Package>({ name, version, sha256, depends })
})

/**
 * Hooks of the system's configuration are dropped because they expect the system's own folders, and root.
 */
const configuration = `Acquire::Languages "none";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`

/** Makes apt take the system for one of this architecture. */
const configurationFor = (architecture: Architecture.Architecture): string => {
  if (architecture === Architecture.host) return configuration
  const name = Architecture.debianName[architecture]
  return `${configuration}APT::Architecture "${name}";\nAPT::Architectures { "${name}"; };\n`
}

/** Options that make apt work in a folder of ours. */
const state = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const settled = configurationFor(yield* Architecture.Target)
  const folder = yield* Cache.entry("apt", [settled], (folder) =>
    Effect.gen(function* () {
      yield* fs.makeDirectory(path.join(folder, "lists", "partial"), { recursive: true })
      yield* fs.makeDirectory(path.join(folder, "archives", "partial"), { recursive: true })
      yield* fs.writeFileString(path.join(folder, "apt.conf"), settled)
      // Nothing counts as installed, so the answer depends on the sources alone.
      yield* fs.writeFileString(path.join(folder, "status"), "")
    }).pipe(Effect.mapError(unusable))
  )
  const settings = {
    "Dir::State": folder,
    "Dir::State::lists": path.join(folder, "lists"),
    "Dir::State::status": path.join(folder, "status"),
    "Dir::Cache": folder,
    "Dir::Cache::archives": path.join(folder, "archives"),
    "Dir::Cache::pkgcache": "pkgcache.bin",
    "Dir::Cache::srcpkgcache": "srcpkgcache.bin"
  }
  return {
    options: [
      `--config-file=${path.join(folder, "apt.conf")}`,
      ...Object.entries(settings).map(([key, value]) => `--option=${key}=${value}`)
    ],
    lists: path.join(folder, "lists.lock")
  }
})

const unavailable = (subject: string, complaints: string) =>
  new GuestError({
    reason: "PackageUnavailable",
    subject,
    hint: "check the network and the system's package sources: `apt-get update` must work and `apt-cache policy` must know the package",
    cause: complaints
  })

const unusable = (cause: unknown) =>
  new GuestError({
    reason: "CacheUnusable",
    subject: "apt's working folder",
    hint: "check that CAPSA_CACHE_DIR and the temporary folder are writable and have space",
    cause
  })
