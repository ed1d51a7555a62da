/** What machines left behind whose owners died, and removing it. */
import { basename, dirname, join } from "node:path"
import type { StateError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Cgroup from "./Cgroup.ts"
import { type Entry, lock, look, removing } from "./internal/entries.ts"
import { type FileError, inode, list, removeAll, rename } from "./internal/files.ts"
import * as Processes from "./internal/processes.ts"
import { readRecord } from "./internal/records.ts"
import { MachineRecord, recordFile } from "./MachineRecord.ts"
import * as StateFolder from "./StateFolder.ts"

/** What is left of one machine. @category models */
export const Leftover = Schema.Struct({
  /** Absolute path of its folder. */
  folder: Schema.String,
  /** What its folder says; absent where its owner died before it could write that. */
  machine: Schema.optional(MachineRecord),
  /** Ids of processes that outlived the owner. */
  processes: Schema.Array(Schema.Int),
  /** Absolute path of its cgroup. */
  cgroup: Schema.optional(Schema.String),
  /** Names in its folder, the record left out: sockets, overlays. */
  files: Schema.Array(Schema.String)
})
/** @category models */
export type Leftover = typeof Leftover.Type

/** @category models */
export const CleanupReport = Schema.Struct({
  /** What is left, or was until now. */
  leftovers: Schema.Array(Leftover),
  /** What was left alone, and why. */
  notes: Schema.Array(Schema.Struct({ path: Schema.String, why: Schema.String }))
})
/** @category models */
export type CleanupReport = typeof CleanupReport.Type

/** What is left now. Changes nothing. @category constructors */
export const examine: Effect.Effect<CleanupReport, StateError> = Effect.suspend(() =>
  visit(({ path }) => Effect.map(describe(path), (leftover) => ({ leftover })))
).pipe(Effect.withSpan("Cleanup.examine"))

/**
 * Removes what is left: ends processes, then removes cgroups, then folders with all that is in them. Any number of
 * processes may do so at once; each reports what it removed itself. What cannot be removed is noted, and is
 * still there for the next time.
 *
 * @category constructors
 */
export const cleanup: Effect.Effect<CleanupReport, StateError> = Effect.suspend(() => visit(remove)).pipe(
  Effect.withSpan("Cleanup.cleanup")
)

type Dead = Extract<Entry, { readonly _tag: "Dead" }>

type OnDead = (entry: Dead) => Effect.Effect<Finding, FileError | StateError>

interface Finding {
  readonly leftover?: Leftover
  readonly note?: CleanupReport["notes"][number]
}

/** Goes through the state folder; `onDead` says what becomes of each folder whose owner is dead. */
const visit = Effect.fnUntraced(function* (onDead: OnDead): Effect.fn.Return<CleanupReport, StateError> {
  const stateFolder = yield* StateFolder.open
  const names = yield* Effect.mapError(list(stateFolder), StateFolder.unusable)
  const findings = yield* Effect.forEach(names, (name) => Effect.scoped(visitOne(stateFolder, name, onDead)))
  return {
    leftovers: findings.flatMap(({ leftover }) => leftover ?? []),
    notes: findings.flatMap(({ note }) => note ?? [])
  }
})

const visitOne = Effect.fnUntraced(function* (
  stateFolder: string,
  name: string,
  onDead: OnDead
): Effect.fn.Return<Finding, StateError, Scope.Scope> {
  const entry = yield* look(stateFolder, name)
  if (entry._tag === "Strange") return { note: { path: entry.path, why: entry.why } }
  if (entry._tag !== "Dead") return {}
  return yield* Effect.catchTag(onDead(entry), "FileError", ({ errno, operation, path }) =>
    Effect.succeed<Finding>({ note: { path, why: `cannot be removed (${operation}: ${errno})` } })
  )
})

const describe = Effect.fnUntraced(function* (folder: string): Effect.fn.Return<Leftover, FileError> {
  const machine = Option.getOrUndefined(yield* readRecord(folder))
  const files = (yield* list(folder)).filter((name) => name !== recordFile)
  if (machine === undefined) return { folder, processes: [], files }
  const processes = yield* processesOf(machine)
  const cgroup = yield* cgroupOf(machine)
  return { folder, machine, processes: processes.map(({ pid }) => pid), cgroup, files }
})

/** The one that was noted; where its owner died before noting one, whatever was started as this machine. */
const processesOf = ({ id, process }: MachineRecord) =>
  Effect.map(Processes.ofMachine(id), (found) =>
    process === undefined ? found : found.filter(Processes.isSame(process))
  )

const cgroupOf = ({ cgroup, id }: MachineRecord): Effect.Effect<string | undefined> =>
  cgroup === undefined || basename(cgroup) !== Cgroup.nameFor(id)
    ? Effect.succeed(undefined)
    : Effect.matchEffect(list(cgroup), {
        onFailure: () => Effect.succeed(undefined),
        onSuccess: () => Effect.succeed(cgroup)
      })

const remove = Effect.fnUntraced(function* (dead: Dead): Effect.fn.Return<Finding, FileError | StateError> {
  if (!(yield* takeOver(dead))) return {}
  const path = join(dirname(dead.path), removing(basename(dead.path)))
  if (path !== dead.path) yield* rename(dead.path, path)
  const leftover = { ...(yield* describe(path)), folder: dead.path }
  const { machine } = leftover
  const survivors =
    machine === undefined
      ? []
      : yield* Effect.filter(yield* processesOf(machine), (left) => Effect.negate(Processes.kill(left)))
  if (survivors.length > 0) {
    return { note: { path, why: `is kept: process ${survivors.map(({ pid }) => pid).join(", ")} does not end` } }
  }
  if (leftover.cgroup !== undefined) yield* Cgroup.remove(leftover.cgroup)
  yield* removeAll(path)
  return { leftover }
})

const takeOverTimeout = "2 seconds"

/** From the shared lock, which any number of those who look may have, to the exclusive one; false if another was first. */
const takeOver = Effect.fnUntraced(function* ({ folder, path }: Dead): Effect.fn.Return<boolean, StateError> {
  const tryLock = yield* lock
  const locked = yield* Effect.sync(() => tryLock(folder.descriptor, "exclusive")).pipe(
    Effect.repeat({ until: (taken) => taken, schedule: Schedule.spaced("5 millis") }),
    Effect.timeoutOption(takeOverTimeout)
  )
  const stillThere = Effect.orElseSucceed(inode(path), () => undefined)
  return Option.isSome(locked) && (yield* stillThere) === folder.stats.ino
})
