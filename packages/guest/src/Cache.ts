/**
 * The folder in which built images are kept, one sub-folder per build, named by a hash of everything that went
 * into it. A folder that is there is complete.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { GuestError } from "./GuestError.ts"

/**
 * The services that building images needs: `BunContext.layer` of @effect/platform-bun has them.
 *
 * @since 0.1.0
 * @category models
 */
export type BuildContext = FileSystem.FileSystem | Path.Path | CommandExecutor.CommandExecutor

/**
 * `CAPSA_CACHE_DIR`, else `capsa` in `XDG_CACHE_HOME`, else `~/.cache/capsa`. Absolute; not necessarily there yet.
 *
 * @since 0.1.0
 * @category config
 */
export const folder: Effect.Effect<string, GuestError, Path.Path> = Effect.gen(function* () {
  const path = yield* Path.Path
  const configured = Config.nonEmptyString("CAPSA_CACHE_DIR").pipe(
    Config.orElse(() => Config.map(Config.nonEmptyString("XDG_CACHE_HOME"), (xdg) => path.join(xdg, "capsa"))),
    Config.orElse(() => Config.map(Config.nonEmptyString("HOME"), (home) => path.join(home, ".cache", "capsa")))
  )
  return path.resolve(yield* configured)
}).pipe(
  Effect.mapError(
    (cause) =>
      new GuestError({
        reason: "CacheUnusable",
        subject: "no folder named",
        hint: "set CAPSA_CACHE_DIR or HOME to a folder that can be written",
        cause
      })
  )
)

/**
 * The folder of the build `name` made from `inputs`, running `build` first if it is not there. `build` fills the
 * empty folder that it is given, which gets its final name only when `build` succeeds. When several processes want
 * the same folder, one builds and the others wait for it.
 *
 * @since 0.1.0
 * @category caching
 */
export const entry = Effect.fn("Cache.entry")(function* <E, R>(
  name: string,
  inputs: ReadonlyArray<string>,
  build: (folder: string) => Effect.Effect<void, E, R>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = path.join(yield* folder, "guest")
  const target = path.join(root, `${name}-${hash(inputs)}`)
  const isBuilt = Effect.mapError(fs.exists(target), unusable(root))

  if (yield* isBuilt) return target
  return yield* Effect.gen(function* () {
    yield* Effect.mapError(fs.makeDirectory(root, { recursive: true }), unusable(root))
    yield* lock(`${target}.lock`)
    if (yield* isBuilt) return target
    const draft = yield* fs
      .makeTempDirectoryScoped({ directory: root, prefix: `${name}.` })
      .pipe(Effect.mapError(unusable(root)))
    // One level down, so that removing the temporary folder finds it whether or not the build was moved away.
    const content = path.join(draft, "content")
    yield* Effect.mapError(fs.makeDirectory(content), unusable(root))
    yield* build(content)
    yield* Effect.mapError(fs.rename(content, target), unusable(root))
    return target
  }).pipe(Effect.scoped)
})

/**
 * What `build` gave last time, as long as `recipe` is the same and every absolute path in it is there; otherwise runs
 * `build` and keeps its answer. For what takes long to find out, such as what the distribution offers today.
 *
 * @since 0.1.0
 * @category caching
 */
export const remembered = Effect.fn("Cache.remembered")(function* <A extends Answer, E, R>(
  name: string,
  recipe: ReadonlyArray<string>,
  schema: Schema.Schema<A>,
  build: Effect.Effect<A, E, R>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const last = yield* recalled(name, recipe, schema)
  if (Option.isSome(last) && !(yield* Updating)) return last.value
  const answer = yield* build
  const file = yield* memory(name, recipe)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const draft = yield* fs.makeTempFileScoped({ directory: path.dirname(file) })
      yield* fs.writeFileString(draft, yield* Effect.orDie(Schema.encode(Schema.parseJson(schema))(answer)))
      yield* fs.rename(draft, file)
    })
  ).pipe(Effect.mapError(unusable(file)))
  return answer
})

/**
 * What `remembered` would give without building anything.
 *
 * @since 0.1.0
 * @category caching
 */
export const recalled = Effect.fn("Cache.recalled")(function* <A extends Answer>(
  name: string,
  recipe: ReadonlyArray<string>,
  schema: Schema.Schema<A>
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const exists = (part: string) => (path.isAbsolute(part) ? fs.exists(part) : Effect.succeed(true))
  return yield* fs.readFileString(yield* memory(name, recipe)).pipe(
    Effect.flatMap(Schema.decode(Schema.parseJson(schema))),
    Effect.filterEffectOrFail({
      predicate: (answer) => Effect.map(Effect.forEach(Object.values(answer), exists), (all) => all.every(Boolean)),
      orFailWith: () => "gone"
    }),
    Effect.option
  )
})

/** The file that keeps an answer. */
const memory = Effect.fnUntraced(function* (name: string, recipe: ReadonlyArray<string>) {
  const path = yield* Path.Path
  return path.join(yield* folder, "guest", `${name}-${hash(recipe)}.json`)
})

/** What can be remembered: texts and paths. */
type Answer = { readonly [name: string]: string }

/**
 * Whether to ask what the distribution offers now, whatever is remembered.
 *
 * @since 0.1.0
 * @category caching
 */
export class Updating extends Context.Reference<Updating>()("@capsa/guest/Updating", { defaultValue: () => false }) {}

/**
 * Holds an exclusive lock on `file` until the scope closes. The kernel frees it when the process ends, however it
 * ends.
 *
 * @since 0.1.0
 * @category caching
 */
export const lock = Effect.fn("Cache.lock")(function* (file: string) {
  // flock(1) runs cat once it has the lock; cat ends with our end of its input, so not even SIGKILL leaves a lock.
  const held = Command.make("flock", file, "sh", "-c", "echo; exec cat").pipe(
    Command.start,
    Effect.flatMap((holder) => Stream.runHead(holder.stdout)),
    Effect.mapError((cause) =>
      cause._tag === "SystemError" && cause.reason === "NotFound" ? noFlock(cause) : unusable(file)(cause)
    )
  )
  if (Option.isNone(yield* held)) return yield* unusable(file)(undefined)
})

const hash = (inputs: ReadonlyArray<string>): string =>
  new Bun.CryptoHasher("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16)

const noFlock = (cause: unknown) =>
  new GuestError({
    reason: "ToolMissing",
    subject: "flock",
    hint: "install util-linux; guest images are built on Debian and Ubuntu only",
    cause
  })

const unusable = (subject: string) => (cause: unknown) =>
  new GuestError({
    reason: "CacheUnusable",
    subject,
    hint: "check that the folder is writable and has space, or set CAPSA_CACHE_DIR to one that is",
    cause
  })
