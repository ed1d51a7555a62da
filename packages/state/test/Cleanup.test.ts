import { describe, expect } from "bun:test"
import {
  accessSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync
} from "node:fs"
import { basename, join } from "node:path"
import { live, planOf } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import { Cgroup, Cleanup, Lease, Machines } from "../src/index.ts"
import { locate } from "../src/internal/cgroupTree.ts"
import * as Processes from "../src/internal/processes.ts"
import { inFolder, owner } from "./fixtures/folder.ts"

const folderOf = (id: string) => id.slice(0, 13)

/** A machine whose owner was killed, with more in its record. */
const dead = Effect.fnUntraced(function* (folder: string, id: string = crypto.randomUUID(), more: object = {}) {
  const { kill } = yield* owner(folder, [id])
  yield* kill
  const file = join(folder, folderOf(id), "machine.json")
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...more }))
  return id
})

/** A process that was started as a machine. */
const machineProcess = (id: string) =>
  Effect.acquireRelease(
    Effect.sync(() => Bun.spawn(["/bin/sh", "-c", "read line", "sh", "-uuid", id], { stdin: "pipe" })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const isRoot = process.getuid?.() === 0

const { base } = await Effect.runPromise(locate)
const noCgroups =
  base !== undefined && Either.isRight(Either.try(() => accessSync(base, constants.W_OK)))
    ? ""
    : " — skipped: this process may not make cgroups of version 2"

const temporaryCgroup = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = join(base ?? "", name)
      mkdirSync(path)
      return path
    }),
    (path) => Effect.orDie(Cgroup.remove(path))
  )

const identityOf = (pid: number) => Effect.map(Effect.flatten(Processes.find(pid)), ({ started }) => ({ pid, started }))

describe("cleanup", () => {
  live(
    "lists what dead owners left, then removes it, and nothing of the living",
    inFolder((folder) =>
      Effect.gen(function* () {
        // Without the cleanup that the first lease begins.
        const swept = new Set([folder])
        const lease = yield* Effect.provideService(Lease.take(planOf(), "qemu"), Lease.Swept, swept)
        const other = crypto.randomUUID()
        yield* owner(folder, [other])
        const ids = [crypto.randomUUID(), crypto.randomUUID()]
        const { kill } = yield* owner(folder, ids)
        yield* kill
        writeFileSync(join(folder, folderOf(ids[0] ?? ""), "overlay"), "data")
        const before = readdirSync(folder).toSorted()
        const listed = yield* Cleanup.examine
        expect(listed.notes).toEqual([])
        expect(listed.leftovers.map(({ machine }) => machine?.id).toSorted()).toEqual(ids.toSorted())
        expect(listed.leftovers.flatMap(({ files }) => files)).toEqual(["overlay"])
        expect(readdirSync(folder).toSorted()).toEqual(before)
        expect(yield* Cleanup.cleanup).toEqual(listed)
        const left = [folderOf(lease.id), folderOf(other)].toSorted()
        expect(readdirSync(folder).toSorted()).toEqual(left)
        expect((yield* Machines.alive).map(({ id }) => id).toSorted()).toEqual([lease.id, other].toSorted())
        expect(yield* Cleanup.cleanup).toEqual({ leftovers: [], notes: [] })
        expect(readdirSync(folder).toSorted()).toEqual(left)
      })
    )
  )

  live(
    "by many at once removes everything once",
    inFolder((folder) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 10 }, () => crypto.randomUUID())
        const { kill } = yield* owner(folder, ids)
        yield* kill
        const lookers = Effect.replicateEffect(Machines.alive, 10)
        const [reports] = yield* Effect.all([Effect.replicateEffect(Cleanup.cleanup, 4, { concurrency: 4 }), lookers], {
          concurrency: 2
        })
        const removed = reports.flatMap(({ leftovers }) => leftovers.map(({ machine }) => machine?.id))
        expect(removed.toSorted()).toEqual(ids.toSorted())
        expect(reports.flatMap(({ notes }) => notes)).toEqual([])
        expect(readdirSync(folder)).toEqual([])
      })
    )
  )

  live(
    "happens by itself when a process launches its first machine",
    inFolder((folder) =>
      Effect.gen(function* () {
        const id = yield* dead(folder)
        yield* Lease.take(planOf(), "qemu")
        yield* Effect.repeat(
          Effect.sync(() => readdirSync(folder)),
          { until: (names) => names.length === 1 && names[0] !== folderOf(id), schedule: Schedule.spaced("5 millis") }
        )
      })
    )
  )

  live(
    "takes up what another cleaner, or an owner on its way, had begun",
    inFolder((folder) =>
      Effect.gen(function* () {
        const id = yield* dead(folder)
        renameSync(join(folder, folderOf(id)), join(folder, `.old-${folderOf(id)}`))
        mkdirSync(join(folder, ".new-01234567-89ab"))
        const { leftovers } = yield* Cleanup.cleanup
        expect(leftovers.map((left) => [basename(left.folder), left.machine?.id]).toSorted()).toEqual([
          [".new-01234567-89ab", undefined],
          [`.old-${folderOf(id)}`, id]
        ])
        expect(readdirSync(folder)).toEqual([])
      })
    )
  )

  for (const noted of [true, false]) {
    live(
      `ends the process that was the machine, ${noted ? "as noted" : "also when its owner died before noting it"}`,
      inFolder((folder) =>
        Effect.gen(function* () {
          const id = crypto.randomUUID()
          const child = yield* machineProcess(id)
          const identity = yield* identityOf(child.pid)
          yield* dead(folder, id, noted ? { process: identity } : {})
          expect((yield* Cleanup.examine).leftovers.map(({ processes }) => processes)).toEqual([[child.pid]])
          expect(child.signalCode).toBeNull()
          yield* Cleanup.cleanup
          yield* Effect.promise(() => child.exited)
          expect(child.signalCode).toBe("SIGKILL")
          expect(readdirSync(folder)).toEqual([])
        })
      )
    )
  }

  live(
    "leaves a process alone that has the machine's number and is another",
    inFolder((folder) =>
      Effect.gen(function* () {
        const [id, otherId] = [crypto.randomUUID(), crypto.randomUUID()]
        const [sameNumber, stranger] = [yield* machineProcess(id), yield* machineProcess(crypto.randomUUID())]
        yield* dead(folder, id, { process: { pid: sameNumber.pid, started: "1" } })
        yield* dead(folder, otherId, { process: yield* identityOf(stranger.pid) })
        const { leftovers } = yield* Cleanup.cleanup
        expect(leftovers.map(({ processes }) => processes)).toEqual([[], []])
        expect((yield* identityOf(sameNumber.pid)).pid).toBe(sameNumber.pid)
        expect((yield* identityOf(stranger.pid)).pid).toBe(stranger.pid)
      })
    )
  )

  live.skipIf(noCgroups !== "")(
    `removes the machine's cgroup with what is in it, and no other${noCgroups}`,
    inFolder((folder) =>
      Effect.gen(function* () {
        const ids = [crypto.randomUUID(), crypto.randomUUID()] as const
        const cgroup = yield* temporaryCgroup(Cgroup.nameFor(ids[0]))
        const other = yield* temporaryCgroup(Cgroup.nameFor(crypto.randomUUID()))
        const child = yield* machineProcess("nobody's")
        writeFileSync(join(cgroup, "cgroup.procs"), String(child.pid))
        yield* dead(folder, ids[0], { cgroup })
        yield* dead(folder, ids[1], { cgroup: other })
        const { leftovers, notes } = yield* Cleanup.cleanup
        expect(notes).toEqual([])
        expect(leftovers.flatMap(({ cgroup }) => cgroup ?? [])).toEqual([cgroup])
        expect(existsSync(cgroup)).toBe(false)
        expect(existsSync(other)).toBe(true)
        expect(readdirSync(folder)).toEqual([])
      })
    )
  )

  live(
    "leaves alone what is not capsa's, and says so",
    inFolder((folder) =>
      Effect.gen(function* () {
        mkdirSync(join(folder, "notes"))
        writeFileSync(join(folder, "01234567-89ab"), "a file with the name of a machine")
        const { leftovers, notes } = yield* Cleanup.cleanup
        expect(leftovers).toEqual([])
        expect(notes.map(({ path }) => basename(path)).toSorted()).toEqual(["01234567-89ab", "notes"])
        expect(readdirSync(folder)).toHaveLength(2)
      })
    )
  )

  live.skipIf(!isRoot)(
    `leaves other users' machines alone, and says so${isRoot ? "" : " — skipped: only root can give files away"}`,
    inFolder((folder) =>
      Effect.gen(function* () {
        const id = yield* dead(folder)
        chownSync(join(folder, folderOf(id)), 12345, 12345)
        const path = join(folder, folderOf(id))
        expect(yield* Cleanup.cleanup).toEqual({ leftovers: [], notes: [{ path, why: "belongs to user 12345" }] })
        expect(existsSync(join(path, "machine.json"))).toBe(true)
      })
    )
  )
})
