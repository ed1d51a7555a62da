import { describe, expect } from "bun:test"
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { StateFolder } from "../src/index.ts"
import { temporaryFolder, within, withVariables } from "./fixtures/folder.ts"

const isRoot = process.getuid?.() === 0
const rootOnly = isRoot ? "" : " — skipped: only root can give files away"

const socketPathBytesMax = process.platform === "darwin" ? 103 : 107

const refusal = (folder: string) => Effect.flip(within(folder)(StateFolder.open))

describe("the state folder", () => {
  live("is the one that is asked for, the runtime folder's, or one in the temporary folder", () =>
    Effect.gen(function* () {
      const all = { CAPSA_STATE_DIR: "/a/b", XDG_RUNTIME_DIR: "/run/user/7" }
      expect(yield* withVariables(all)(StateFolder.path)).toBe("/a/b")
      expect(yield* withVariables({ XDG_RUNTIME_DIR: "/run/user/7" })(StateFolder.path)).toBe("/run/user/7/capsa")
      expect(yield* withVariables({})(StateFolder.path)).toBe(join(tmpdir(), `capsa-${process.getuid?.()}`))
      expect(yield* withVariables({ CAPSA_STATE_DIR: "a" })(StateFolder.path)).toBe(join(process.cwd(), "a"))
    })
  )

  live("is made for its user alone", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "run/capsa")
      expect(yield* within(folder)(StateFolder.open)).toBe(folder)
      expect(statSync(folder).mode & 0o777).toBe(0o700)
      expect(yield* within(folder)(StateFolder.open)).toBe(folder)
    })
  )

  for (const mode of [0o777, 0o770]) {
    live(`is refused if others may write to it: ${mode.toString(8)}`, () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        chmodSync(folder, mode)
        const error = yield* refusal(folder)
        expect(error).toMatchObject({ reason: "Exposed", subject: folder, retryable: false })
        expect(error.hint).toContain(`chmod go-w ${folder}`)
      })
    )
  }

  live("may be written to by others if it keeps its entries from them", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      chmodSync(folder, 0o1777)
      expect(yield* within(folder)(StateFolder.open)).toBe(folder)
    })
  )

  live.skipIf(!isRoot)(`is refused if it is another user's${rootOnly}`, () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      chownSync(folder, 12345, 12345)
      for (const mode of [0o700, 0o1777]) {
        chmodSync(folder, mode)
        const error = yield* refusal(folder)
        expect(error).toMatchObject({ reason: "Foreign", subject: folder })
        expect(error.message).toContain("12345")
        expect(error.hint).toContain("CAPSA_STATE_DIR")
      }
    })
  )

  live("is refused if it is a file, or a link, wherever that leads", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      writeFileSync(join(folder, "file"), "")
      mkdirSync(join(folder, "real"), 0o700)
      symlinkSync(join(folder, "real"), join(folder, "link"))
      expect(yield* refusal(join(folder, "file"))).toMatchObject({ reason: "Unusable", errno: "EEXIST" })
      expect(yield* refusal(join(folder, "file/below"))).toMatchObject({ reason: "Unusable", errno: "ENOTDIR" })
      expect(yield* refusal(join(folder, "link"))).toMatchObject({ reason: "Unusable", subject: join(folder, "link") })
    })
  )

  live("is refused if sockets below it could have no name", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const socket = "01234567-89ab/0123456789abcdef"
      const longest = join(folder, "x".repeat(socketPathBytesMax - `${folder}//${socket}`.length))
      expect(yield* within(longest)(StateFolder.open)).toBe(longest)
      mkdirSync(dirname(join(longest, socket)))
      Bun.listen({ unix: join(longest, socket), socket: { data() {} } }).stop()
      const error = yield* refusal(`${longest}x`)
      expect(error).toMatchObject({ reason: "TooLong", subject: `${longest}x` })
      expect(error.hint).toContain("CAPSA_STATE_DIR")
    })
  )
})
