import { expect, test } from "bun:test"
import * as Cache from "@capsa/guest/Cache"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"

/** Runs `use` with an empty cache folder, which it is given. */
const withCache = <A, E>(use: (cache: string) => Effect.Effect<A, E, Cache.BuildContext>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const cache = yield* fs.makeTempDirectoryScoped()
    const provider = ConfigProvider.fromMap(new Map([["CAPSA_CACHE_DIR", cache]]))
    return yield* Effect.withConfigProvider(use(cache), provider)
  }).pipe(Effect.scoped, Effect.provide(BunContext.layer), Effect.runPromise)

const write = (text: string) => (folder: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(`${folder}/file`, text))

test("the same inputs build once, other inputs build again", () =>
  withCache(() =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const first = yield* Cache.entry("thing", ["a", "b"], write("first"))
      const again = yield* Cache.entry("thing", ["a", "b"], write("again"))
      const other = yield* Cache.entry("thing", ["ab"], write("other"))
      expect(again).toBe(first)
      expect(other).not.toBe(first)
      expect(yield* fs.readFileString(`${first}/file`)).toBe("first")
      expect(yield* fs.readFileString(`${other}/file`)).toBe("other")
    })
  ))

test("of several that want the same at once, one builds", () =>
  withCache(() =>
    Effect.gen(function* () {
      const builds = yield* Ref.make(0)
      const build = (folder: string) =>
        Effect.zipRight(
          Ref.update(builds, (count) => count + 1),
          Effect.delay(write("x")(folder), "50 millis")
        )
      const folders = yield* Effect.all(
        Array.from({ length: 5 }, () => Cache.entry("thing", [], build)),
        { concurrency: "unbounded" }
      )
      expect(new Set(folders).size).toBe(1)
      expect(yield* Ref.get(builds)).toBe(1)
    })
  ))

test("a failed build leaves nothing but the lock and is tried again", () =>
  withCache((cache) =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const broken = (folder: string) => Effect.zipRight(write("half")(folder), Effect.fail("broken"))
      expect(yield* Effect.flip(Cache.entry("thing", [], broken))).toBe("broken")
      const left = yield* fs.readDirectory(`${cache}/guest`)
      expect(left.filter((name) => !name.endsWith(".lock"))).toEqual([])
      const built = yield* Cache.entry("thing", [], write("whole"))
      expect(yield* fs.readFileString(`${built}/file`)).toBe("whole")
    })
  ))

test("a cache folder that cannot be made is CacheUnusable and says what to set", () =>
  withCache((cache) =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(`${cache}/guest`, "a file in the way")
      const error = yield* Effect.flip(Cache.entry("thing", [], write("x")))
      expect(error).toMatchObject({ _tag: "GuestError", reason: "CacheUnusable", subject: `${cache}/guest` })
      expect(error).toHaveProperty("hint", expect.stringContaining("CAPSA_CACHE_DIR"))
    })
  ))

test("the cache is where the environment says", async () => {
  const folderWith = (environment: Record<string, string>) =>
    Cache.folder.pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment)))),
      Effect.provide(BunContext.layer),
      Effect.runPromise
    )
  expect(await folderWith({ CAPSA_CACHE_DIR: "/c", XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe("/c")
  expect(await folderWith({ XDG_CACHE_HOME: "/x", HOME: "/h" })).toBe("/x/capsa")
  expect(await folderWith({ HOME: "/h" })).toBe("/h/.cache/capsa")
})
