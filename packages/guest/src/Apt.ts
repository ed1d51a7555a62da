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
import type * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"
import * as AptState from "./internal/aptState.ts"
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
  return Option.isSome(found) ? found.value : yield* AptState.unavailable(names.join(" or "), complaints)
})

/**
 * The packages `names`, and all that they depend on. Nothing that is only recommended comes along. A name may be a
 * pattern of apt's, such as `?essential`. See `resolve`.
 *
 * @since 0.1.0
 * @category packages
 */
export const closure = Effect.fn("Apt.closure")(function* (names: ReadonlyArray<string>) {
  yield* Effect.forEach(names, resolve, { discard: true })
  const { options } = yield* AptState.ofPackages
  const wanted = ["--no-install-recommends", "--simulate", "install", ...names]
  const plan = yield* output(Command.make("apt-get", ...options, "-q", ...wanted))
  const chosen = [...plan.toString().matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => `${name}=${version}`)
  const shown = yield* output(Command.make("apt-cache", ...options, "show", "--no-all-versions", ...chosen))
  const packages = shown
    .toString()
    .split("\n\n")
    .flatMap((text) => Option.toArray(described(text)))
  return packages.toSorted((one, other) => (one.name < other.name ? -1 : 1))
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
export const refresh: Effect.Effect<string, GuestError, Cache.BuildContext> = Effect.zipRight(
  stage("fetching package lists"),
  Effect.flatMap(AptState.ofPackages, AptState.update)
).pipe(Effect.withSpan("Apt.refresh"))

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
 * Fetches the packages' archives into `folder`. apt checks them against the signed lists.
 *
 * @since 0.1.0
 * @category packages
 */
export const download = Effect.fn("Apt.download")(function* (wanted: ReadonlyArray<Package>, folder: string) {
  const fs = yield* FileSystem.FileSystem
  const { options } = yield* AptState.ofPackages
  const names = wanted.map(({ name, version }) => `${name}=${version}`)
  yield* stage(`fetching ${names.length === 1 ? names[0] : `${names.length} packages`}`)
  const get = Command.make("apt-get", ...options, "-q", "download", ...names)
  const { stderrTail } = yield* run(Command.workingDirectory(get, folder))
  const files = yield* Effect.mapError(fs.readDirectory(folder), AptState.unusable)
  const archives = files.filter((file) => file.endsWith(".deb")).toSorted()
  if (archives.length < names.length) return yield* AptState.unavailable(names.join(", "), stderrTail)
  return archives
})

/**
 * Fetches packages and unpacks their files into `folder`. See `download`.
 *
 * @since 0.1.0
 * @category packages
 */
export const unpack = Effect.fn("Apt.unpack")(function* (wanted: ReadonlyArray<Package>, folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const archives = yield* Effect.mapError(fs.makeTempDirectoryScoped(), AptState.unusable)
  for (const archive of yield* download(wanted, archives)) {
    yield* stage(`unpacking ${archive}`)
    yield* output(Command.make("dpkg-deb", "-x", path.join(archives, archive), folder))
  }
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
  const { options } = yield* AptState.ofPackages
  const shown = yield* run(Command.make("apt-cache", ...options, "show", "--no-all-versions", name))
  return described(shown.stdout.toString())
})

/** The package that a paragraph of the lists describes. */
const described = (text: string): Option.Option<Package> => {
  const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1]
  const name = field("Package")
  const version = field("Version")
  const sha256 = field("SHA256")
  if (name === undefined || version === undefined || sha256 === undefined) return Option.none()
  const depends = (field("Depends") ?? "").split(",").flatMap((term) => /^[^\s|(:]+/.exec(term.trim()) ?? [])
  return Option.some({ name, version, sha256, depends })
}
