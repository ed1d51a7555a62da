/**
 * Source packages of the system's own distribution, for what is built differently from the distribution's own. Like
 * `Apt`: without root, and without a change to the system, whose sources need not offer source code to apt.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AptState from "./internal/aptState.ts"
import { output, run } from "./internal/run.ts"
import { sha256 } from "./internal/sha256.ts"
import { stage } from "./Progress.ts"

/**
 * A source package as the sources offer it. `sha256` is apt's word for its description, which has the hashes of its
 * other files.
 *
 * @since 0.1.0
 * @category models
 */
export interface AptSource {
  readonly name: string
  /** Without the epoch. */
  readonly version: string
  readonly sha256: string
}

/**
 * The source package `name`. The lists are fetched (10 MB) when they do not have it, and else kept.
 *
 * @since 0.1.0
 * @category packages
 */
export const resolve = Effect.fn("AptSource.resolve")(function* (name: string) {
  const known = yield* offered(name)
  if (Option.isSome(known)) return known.value
  const complaints = yield* refresh
  const found = yield* offered(name)
  return Option.isSome(found) ? found.value : yield* AptState.unavailable(`the source of ${name}`, complaints)
})

/**
 * Tells one version of a source from any other; for cache keys.
 *
 * @since 0.1.0
 * @category packages
 */
export const identity = (of: AptSource): string => `${of.name}=${of.version} source sha256:${of.sha256}`

/**
 * Fetches a source and unpacks it as `folder`, with the distribution's patches. apt checks the files against the signed
 * lists.
 *
 * @since 0.1.0
 * @category packages
 */
export const unpack = Effect.fn("AptSource.unpack")(
  function* (source: AptSource, folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { options } = yield* AptState.ofSources
    yield* stage(`fetching the source of ${source.name} ${source.version}`)
    const download = yield* fs.makeTempDirectoryScoped()
    const get = Command.make("apt-get", ...options, "-q", "--download-only", "source", source.name)
    const result = yield* run(Command.workingDirectory(get, download))
    const description = path.join(download, `${source.name}_${source.version}.dsc`)
    const isThere = result.exitCode === 0 && (yield* fs.exists(description))
    if (!isThere || sha256(yield* fs.readFile(description)) !== source.sha256) {
      // The lists name what is gone, or are newer than `source`: whoever tries again shall see what there is.
      yield* refresh
      return yield* AptState.unavailable(identity(source), result.stderrTail)
    }
    // apt has checked more than the signature of a maintainer could tell.
    yield* output(Command.make("dpkg-source", "--no-check", "--extract", description, folder))
  },
  Effect.scoped,
  Effect.catchTags({ BadArgument: AptState.unusable, SystemError: AptState.unusable })
)

const refresh = Effect.zipRight(
  stage("fetching lists of source code"),
  Effect.flatMap(AptState.ofSources, AptState.update)
)

/** What apt would fetch. */
const offered = Effect.fnUntraced(function* (name: string) {
  const { options } = yield* AptState.ofSources
  const { stdout } = yield* run(Command.make("apt-get", ...options, "-q", "--print-uris", "source", name))
  const description = new RegExp(`^'.*' (${RegExp.escape(name)})_(\\S+)\\.dsc \\d+ SHA256:([0-9a-f]{64})$`, "m")
  const [, , version, sha256] = description.exec(stdout.toString()) ?? []
  return version !== undefined && sha256 !== undefined
    ? Option.some<AptSource>({ name, version, sha256 })
    : Option.none<AptSource>()
})
