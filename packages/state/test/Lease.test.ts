import { describe, expect } from "bun:test"
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { FileLock } from "@capsa/native"
import { live, planOf } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberStatus from "effect/FiberStatus"
import * as Scope from "effect/Scope"
import { Lease, Machines } from "../src/index.ts"
import { inFolder, owner } from "./fixtures/folder.ts"

const alive = Effect.map(Machines.alive, (machines) => machines.map(({ id }) => id))

describe("a lease", () => {
  live(
    "is a folder for this user alone, shown while it is held, and gone with its scope",
    inFolder((folder) =>
      Effect.gen(function* () {
        const plan = planOf()
        const scope = yield* Scope.make()
        const lease = yield* Scope.extend(Lease.take(plan, "qemu"), scope)
        expect(lease.folder).toBe(join(folder, plan.id.slice(0, 13)))
        expect(statSync(lease.folder).mode & 0o777).toBe(0o700)
        yield* lease.noteProcess(process.pid)
        yield* lease.noteCgroup("/sys/fs/cgroup/x")
        const { cpus, id, kernel, memoryMib, name } = plan
        const [machine] = yield* Machines.alive
        expect(machine).toMatchObject({ id, name, backend: "qemu", owner: process.pid, kernel, cpus, memoryMib })
        expect(machine).toMatchObject({ process: { pid: process.pid }, cgroup: "/sys/fs/cgroup/x" })
        yield* Effect.promise(() => Bun.write(join(lease.folder, "overlay"), "data"))
        yield* Scope.close(scope, Exit.void)
        expect(readdirSync(folder)).toEqual([])
        expect(yield* alive).toEqual([])
      })
    )
  )

  live(
    "ends with the process that holds it, whatever that has started and however it ends",
    inFolder((folder) =>
      Effect.gen(function* () {
        const ids = [crypto.randomUUID(), crypto.randomUUID()]
        const { child, kill } = yield* owner(folder, ids)
        expect(yield* alive).toEqual(ids)
        yield* kill
        expect(yield* alive).toEqual([])
        expect(existsSync(`/proc/${child}`)).toBe(true)
      })
    )
  )

  for (const [what, leave] of [
    ["looks at", () => {}],
    ["removes", (folder: string) => rmSync(folder, { recursive: true })]
  ] as const) {
    live(
      `is taken all the same when somebody ${what} its folder before it is locked`,
      inFolder((folder) =>
        Effect.gen(function* () {
          const plan = planOf()
          const fresh = join(folder, `.new-${plan.id.slice(0, 13)}`)
          mkdirSync(fresh)
          const descriptor = openSync(fresh, "r")
          expect((yield* yield* FileLock)(descriptor, "exclusive")).toBe(true)
          const taking = yield* Effect.fork(Effect.zipRight(Lease.take(plan, "qemu"), alive))
          yield* Effect.repeat(Fiber.status(taking), { until: FiberStatus.isSuspended })
          leave(fresh)
          closeSync(descriptor)
          expect(yield* Fiber.join(taking)).toEqual([plan.id])
          expect(existsSync(fresh)).toBe(false)
        })
      )
    )
  }

  live(
    "fails where nothing can be locked, and leaves nothing behind",
    inFolder((folder) =>
      Effect.gen(function* () {
        const plan = planOf()
        const refused = yield* Effect.flip(Effect.scoped(Lease.take(plan, "qemu"))).pipe(
          Effect.provideService(
            FileLock,
            Either.right(() => false)
          )
        )
        expect(refused).toMatchObject({ _tag: "StateError", reason: "Unusable", errno: "EWOULDBLOCK" })
        expect(refused.hint).toContain("CAPSA_STATE_DIR")
        expect(readdirSync(folder)).toEqual([])
      })
    )
  )
})
