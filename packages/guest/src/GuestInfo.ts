/**
 * What the built images are: versions, configuration, hashes and sizes.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"
import * as GuestImages from "./GuestImages.ts"
import { sha256 } from "./internal/sha256.ts"
import * as TinyKernel from "./TinyKernel.ts"

const BuiltFile = Schema.Struct({
  /** Absolute. */
  path: Schema.String,
  bytes: Schema.Int,
  sha256: Schema.String
})

/**
 * A kernel and its initrd. The sources are texts that tell one build's inputs from any other's.
 *
 * @since 0.1.0
 * @category models
 */
export const ImageInfo = Schema.Struct({
  kernel: Schema.Struct({
    ...BuiltFile.fields,
    release: Schema.String,
    source: Schema.String,
    /** Of a kernel that was built here: by what, and with which configuration. */
    compiler: Schema.optional(Schema.String),
    configuration: Schema.optional(BuiltFile)
  }),
  initrd: BuiltFile,
  agent: GuestImages.InitrdProvenance.fields.agent,
  busybox: GuestImages.InitrdProvenance.fields.busybox
})
/**
 * @since 0.1.0
 * @category models
 */
export type ImageInfo = typeof ImageInfo.Type

/**
 * The images by name; one that is not there is not built yet.
 *
 * @since 0.1.0
 * @category models
 */
export const GuestInfo = Schema.Struct({
  /** Where images are kept. */
  cache: Schema.String,
  debian: Schema.optional(ImageInfo),
  tiny: Schema.optional(ImageInfo)
})
/**
 * @since 0.1.0
 * @category models
 */
export type GuestInfo = typeof GuestInfo.Type

/**
 * Looks at what is in the cache, and builds nothing.
 *
 * @since 0.1.0
 * @category images
 */
export const info: Effect.Effect<GuestInfo, GuestError, Cache.BuildContext> = Effect.gen(function* () {
  const cache = yield* Cache.folder
  const { debian, tiny } = yield* GuestImages.built
  return {
    cache,
    ...(Option.isSome(debian) && { debian: yield* ofDebian(debian.value) }),
    ...(Option.isSome(tiny) && { tiny: yield* ofTiny(tiny.value) })
  }
}).pipe(
  Effect.catchTags({ BadArgument: unreadable, ParseError: unreadable, SystemError: unreadable }),
  Effect.withSpan("GuestInfo.info")
)

const ofDebian = Effect.fnUntraced(function* (image: GuestImages.GuestImage) {
  const { kernel: source, ...parts } = yield* ofInitrd(image)
  return { kernel: { ...(yield* measure(image.kernel)), release: image.kernelRelease, source }, ...parts }
})

const ofTiny = Effect.fnUntraced(function* (image: GuestImages.TinyImage) {
  const { kernel: _, ...parts } = yield* ofInitrd(image)
  const { compiler, release, source } = yield* read(image.provenance, TinyKernel.Provenance)
  const kernel = {
    ...(yield* measure(image.kernel)),
    release,
    source: `${source.package}=${source.version} sha256:${source.sha256}`,
    compiler,
    configuration: yield* measure(image.config)
  }
  return { kernel, ...parts }
})

const ofInitrd = Effect.fnUntraced(function* ({ initrd, initrdProvenance }: GuestImages.GuestImage) {
  const { agent, busybox, kernel, ...made } = yield* read(initrdProvenance, GuestImages.InitrdProvenance)
  return { kernel, initrd: { path: initrd, ...made }, agent, busybox }
})

const measure = Effect.fnUntraced(function* (path: string) {
  const content = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFile(path))
  return { path, bytes: content.length, sha256: sha256(content) }
})

const read = <A, I>(file: string, schema: Schema.Schema<A, I>) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(file)).pipe(
    Effect.flatMap(Schema.decode(Schema.parseJson(schema)))
  )

function unreadable(cause: unknown) {
  return new GuestError({
    reason: "CacheUnusable",
    subject: "reading a built image",
    hint: "delete the folder `guest` of the cache: images are built anew",
    cause
  })
}
