import { describe, expect } from "bun:test"
import { join } from "node:path"
import type { DiskPlan } from "@capsa/core/BootPlan"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { DiskLocks } from "../src/index.ts"
import { inFolder } from "./fixtures/folder.ts"

type Use = "written" | "readOnly" | "ephemeral"

const uses = ["written", "readOnly", "ephemeral"] as const

const disk = (path: string, use: Use): DiskPlan => ({
  path,
  format: "raw",
  blockDevice: false,
  backing: [],
  readOnly: use === "readOnly",
  ephemeral: use === "ephemeral",
  serial: "d"
})

describe("the lock of a disk", () => {
  for (const first of uses) {
    for (const second of uses) {
      const goTogether = first !== "written" && second !== "written"
      live(
        `${first}, then ${second}: ${goTogether ? "both" : "only one, until that has ended"}`,
        inFolder((folder) =>
          Effect.gen(function* () {
            const path = join(folder, "image")
            yield* Effect.promise(() => Bun.write(path, ""))
            const scope = yield* Scope.make()
            yield* Scope.extend(DiskLocks.take([disk(path, first)]), scope)
            const take = Effect.scoped(Effect.either(DiskLocks.take([disk(path, second)])))
            const taken = yield* take
            expect(Either.isRight(taken)).toBe(goTogether)
            if (Either.isLeft(taken)) expect(taken.left).toMatchObject({ reason: "DiskInUse", subject: path })
            yield* Scope.close(scope, Exit.void)
            expect(Either.isRight(yield* take)).toBe(true)
          })
        )
      )
    }
  }

  live(
    "is not taken twice by one machine",
    inFolder((folder) =>
      Effect.gen(function* () {
        const path = join(folder, "image")
        yield* Effect.promise(() => Bun.write(path, ""))
        const twice = DiskLocks.take([disk(path, "readOnly"), disk(path, "written")])
        expect(yield* Effect.flip(twice)).toMatchObject({ reason: "DiskInUse", field: "disks.1.path" })
      })
    )
  )
})
