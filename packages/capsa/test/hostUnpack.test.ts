/** Archives of hostile guests on the host: each is refused, and nothing is written outside of the folder. */
import { describe, expect, test } from "bun:test"
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { unpack } from "../src/internal/agent/hostUnpack.ts"
import { end, headerOf, nothing } from "../src/internal/agent/tarWrite.ts"
import { type Hostile, hostile } from "./fixtures/hostileArchives.ts"
import { random } from "./fixtures/random.ts"
import { hostFolder } from "./fixtures/sandboxCopies.ts"

describe("a hostile archive on the host", () => {
  for (const [name, archive] of Object.entries<Hostile>(hostile)) {
    test(name, () =>
      Effect.gen(function* () {
        const folder = yield* hostFolder
        const victim = join(folder, "victim")
        writeFileSync(victim, "untouched")
        const pieces = Stream.fromIterable(random(1).cut(archive.make(folder)))
        expect(yield* Effect.flip(unpack(join(folder, "target"), pieces))).toMatchObject({
          _tag: "SandboxError",
          reason: archive.broken ? "Protocol" : "UnsafeArchive"
        })
        expect([readFileSync(victim, "utf8"), lstatSync(victim).nlink]).toEqual(["untouched", 1])
        expect(readdirSync(folder).sort()).toEqual(["target", "victim"])
        expect(lstatSync(join(folder, "target")).isSymbolicLink()).toBe(false)
      }).pipe(Effect.scoped, Effect.runPromise)
    )
  }
})

/** Descriptors of this process for what is in a folder. */
const openIn = (folder: string): number => {
  let count = 0
  for (const fd of readdirSync("/proc/self/fd")) {
    const path = Either.getOrElse(
      Either.try(() => readlinkSync(`/proc/self/fd/${fd}`)),
      () => ""
    )
    if (path.startsWith(`${folder}/`)) count++
  }
  return count
}

const fileIn = (path: string): Uint8Array => headerOf({ ...ordinary, path: Buffer.from(path) })
const ordinary = { type: "file", mode: 0o644, size: 0, seconds: 1000, target: nothing } as const

/** Has every file take its time to close, as on a slow disk. */
const slowly = Effect.acquireRelease(
  Effect.promise(async () => {
    const handle = await open("/")
    const prototype: { close: () => Promise<void> } = Object.getPrototypeOf(handle)
    const { close } = prototype
    await handle.close()
    prototype.close = async function () {
      await Bun.sleep(2)
      await close.call(this)
    }
    return () => {
      prototype.close = close
    }
  }),
  (restore) => Effect.sync(restore)
)

test("one that is given up at any time leaves no file open", () =>
  Effect.gen(function* () {
    const folder = yield* hostFolder
    yield* slowly
    // Each goes to another folder than the one before, which is closed then.
    const paths = Array.from({ length: 100 }, (_, index) => `${index % 2}/deep/deeper/file ${index}`)
    const archive = Buffer.concat([...paths.map(fileIn), end])
    const times = Array.from({ length: 50 }, (_, index) => 10 * index)
    yield* Effect.forEach(
      times,
      (time) => Effect.timeoutOption(unpack(join(folder, `${time}`), Stream.make(archive)), time),
      { concurrency: 10, discard: true }
    )
    expect(openIn(folder)).toBe(0)
  }).pipe(Effect.scoped, Effect.runPromise))
