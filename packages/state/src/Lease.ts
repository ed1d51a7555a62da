/** A machine's folder, held by the process that launched it. */
import { join } from "node:path"
import type { BackendName, BootPlan, StateError } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Leftover } from "./Cleanup.ts"
import { lock, making, nameOf, removing } from "./internal/entries.ts"
import { FileError, makeFolder, openFolder, removeAll, rename } from "./internal/files.ts"
import * as Processes from "./internal/processes.ts"
import { writeRecord } from "./internal/records.ts"
import type { MachineRecord } from "./MachineRecord.ts"
import * as StateFolder from "./StateFolder.ts"

/** @category models */
export interface Lease {
  /** UUID of the machine. */
  readonly id: string
  /** Absolute path of its folder, for all that it keeps on disk. Names of sockets in it have at most 16 bytes. */
  readonly folder: string
  /** Writes down, before it is made, the cgroup of the machine, so that it is found when this process dies. */
  readonly noteCgroup: (path: string) => Effect.Effect<void, StateError>
  /** Writes down the process that is the machine. */
  readonly noteProcess: (pid: number) => Effect.Effect<void, StateError>
}

/**
 * Makes the folder of a machine and writes its record. Whoever sees the folder under its name sees it locked and with its
 * record. It is removed when the scope closes, and otherwise by the next cleanup: the kernel gives the lock back however
 * this process ends.
 *
 * The first one of a process also starts a cleanup, which runs beside all else.
 *
 * @category constructors
 */
export const take = Effect.fn("Lease.take")(function* (
  plan: BootPlan,
  backend: BackendName
): Effect.fn.Return<Lease, StateError, Scope.Scope> {
  const stateFolder = yield* StateFolder.open
  let record: MachineRecord = {
    id: plan.id,
    name: plan.name,
    backend,
    createdAt: yield* Clock.currentTimeMillis,
    owner: process.pid,
    cpus: plan.cpus,
    memoryMib: plan.memoryMib,
    ...("kernel" in plan ? { kernel: plan.kernel } : {})
  }
  const folder = join(stateFolder, nameOf(plan.id))
  const fresh = join(stateFolder, making(plan.id))
  yield* Effect.uninterruptible(
    Effect.gen(function* () {
      yield* Effect.retry(settle(fresh, record), untilNobodyLooks).pipe(
        Effect.onError(() => Effect.ignoreLogged(removeAll(fresh)))
      )
      yield* Effect.mapError(rename(fresh, folder), StateFolder.unusable)
      yield* Effect.addFinalizer(() => Effect.ignoreLogged(giveBack(stateFolder, plan.id)))
    })
  )
  yield* sweepOnce(stateFolder)
  const note = (more: Partial<MachineRecord>) =>
    Effect.suspend(() => {
      record = { ...record, ...more }
      return Effect.mapError(writeRecord(folder, record), StateFolder.unusable)
    })
  return {
    id: plan.id,
    folder,
    noteCgroup: (cgroup) => note({ cgroup }),
    noteProcess: (pid) =>
      Effect.flatMap(
        Processes.find(pid),
        // One that has ended already leaves nothing.
        Option.match({ onNone: () => Effect.void, onSome: ({ started }) => note({ process: { pid, started } }) })
      )
  }
})

/** One that is being made has no owner for an instant: somebody who looks may have it, or remove it. */
const settle = Effect.fnUntraced(
  function* (fresh: string, record: MachineRecord) {
    yield* makeFolder(fresh)
    const { descriptor } = yield* openFolder(fresh)
    if (!(yield* lock)(descriptor, "exclusive")) return yield* new FileError({ ...busy, path: fresh })
    yield* writeRecord(fresh, record)
  },
  Effect.mapError((error) => (error._tag === "FileError" ? StateFolder.unusable(error) : error))
)

const busy = { operation: "flock", errno: "EWOULDBLOCK", cause: undefined }

const untilNobodyLooks = {
  while: ({ errno }: StateError) => errno === "EWOULDBLOCK" || errno === "ENOENT",
  schedule: Schedule.spaced("5 millis"),
  times: 100
}

const giveBack = (stateFolder: string, id: string) => {
  const away = join(stateFolder, removing(nameOf(id)))
  return Effect.zipRight(rename(join(stateFolder, nameOf(id)), away), removeAll(away))
}

/** State folders that this process has begun to clean up. @category references */
export class Swept extends Context.Reference<Swept>()("@capsa/state/Swept", {
  defaultValue: () => new Set<string>()
}) {}

const tell = ({ folder, machine }: Leftover) =>
  Effect.logInfo("removed what a dead machine left behind", folder).pipe(
    Effect.annotateLogs({
      component: "state",
      ...(machine && { "vm.id": machine.id, "vm.name": machine.name, "vm.backend": machine.backend })
    })
  )

const sweepOnce = Effect.fnUntraced(function* (stateFolder: string) {
  const swept = yield* Swept
  if (swept.has(stateFolder)) return
  swept.add(stateFolder)
  yield* Effect.promise(() => import("./Cleanup.ts")).pipe(
    Effect.flatMap(({ cleanup }) => cleanup),
    Effect.tap(({ leftovers }) => Effect.forEach(leftovers, tell)),
    Effect.ignoreLogged,
    Effect.forkDaemon
  )
})
