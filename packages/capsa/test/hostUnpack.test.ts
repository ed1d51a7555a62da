/** Archives of hostile guests on the host: each is refused, and nothing is written outside of the folder. */
import { describe, expect, test } from "bun:test"
import { lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { unpack } from "../src/internal/agent/hostUnpack.ts"
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
