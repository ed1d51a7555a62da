/** What a machine's process may take at most, enforced by cgroups of version 2 (the kernel's admin-guide/cgroup-v2). */
import { join } from "node:path"
import type { Finding, IoLimits, LimitsConfig, MemorySize, StateError, VmBootError } from "@capsa/core"
import { toMib } from "@capsa/core/MemorySize"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { controllers } from "./internal/cgroupTree.ts"
import { divide, inspect, refused } from "./internal/delegation.ts"
import { type FileError, list, makeFolder, read, removeFolder, write } from "./internal/files.ts"
import type { Lease } from "./Lease.ts"

/** @category models */
export interface Cgroup {
  /** Absolute path. A process enters by writing 0 to `cgroup.procs` in it. */
  readonly path: string
  /** Whether the kernel has killed what was in it for needing more memory than its limit. */
  readonly outOfMemory: Effect.Effect<boolean>
}

/** The name of a machine's cgroup. */
export const nameFor = (id: string): string => `capsa-${id}`

/**
 * A cgroup for the machine of a lease, beside this process's own. It goes with the scope, and what is left in it is killed.
 * Fails with `LimitsUnavailable` where the host does not let this process set what is asked for.
 *
 * A cgroup whose children are limited must hold no processes itself: where this process's own does, they move to a child
 * `capsa-host` of it, and stay there. That is done only if they are this process, its ancestors and its descendants.
 *
 * @category constructors
 */
export const make = Effect.fn("Cgroup.make")(function* (
  lease: Lease,
  limits: LimitsConfig
): Effect.fn.Return<Cgroup | undefined, StateError | VmBootError, Scope.Scope> {
  const limited = controllers.filter((name) => limits[name === "cpu" ? "cpus" : name] !== undefined)
  if (limited.length === 0) return undefined
  const delegation = yield* inspect(limited)
  yield* divide(delegation)
  const path = join(delegation.base, nameFor(lease.id))
  yield* lease.noteCgroup(path)
  yield* Effect.acquireRelease(makeFolder(path), () => Effect.ignoreLogged(remove(path))).pipe(
    Effect.zipRight(settings(limits)),
    Effect.flatMap((all) => Effect.forEach(all, ([file, value]) => write(join(path, file), value))),
    Effect.zipRight(withoutSwap(path, limits)),
    Effect.catchTag("FileError", refused)
  )
  return { path, outOfMemory: outOfMemory(path) }
})

/** Kills what is in a cgroup and removes it. Does nothing if it is gone. */
export const remove = (path: string): Effect.Effect<void, FileError> =>
  Effect.ignore(write(join(path, "cgroup.kill"), "1")).pipe(
    Effect.zipRight(removeFolder(path)),
    // What was killed takes a moment to die.
    Effect.retry({ while: ({ errno }) => errno === "EBUSY", schedule: Schedule.spaced("5 millis"), times: 1000 }),
    Effect.catchIf(
      ({ errno }) => errno === "ENOENT",
      () => Effect.void
    )
  )

/** Whether machines can be limited by this process, and what to do if not. Changes nothing. @category constructors */
export const examine: Effect.Effect<Finding> = Effect.match(inspect(controllers), {
  onFailure: ({ hint, message }) => ({ check: "limits", status: "warning", detail: message, fix: hint }),
  onSuccess: ({ base }) => ({
    check: "limits",
    status: "ok",
    detail: `processors, memory, processes and disk I/O: below ${base}`
  })
})

type Setting = readonly [file: string, value: string]

const cpuPeriodMicros = 100_000

const settings = (limits: LimitsConfig): Effect.Effect<ReadonlyArray<Setting>, FileError> => {
  const { cpus, io, memory, pids } = limits
  const fixed: ReadonlyArray<Setting> = [
    ...(cpus === undefined ? [] : [["cpu.max", `${Math.round(cpus * cpuPeriodMicros)} ${cpuPeriodMicros}`] as const]),
    ...(memory === undefined ? [] : [["memory.max", `${toMib(memory)}M`] as const, ["memory.oom.group", "1"] as const]),
    ...(pids === undefined ? [] : [["pids.max", String(pids)] as const])
  ]
  if (io === undefined) return Effect.succeed(fixed)
  return Effect.map(disks, (numbers) => [...fixed, ...numbers.map((number) => ["io.max", ioLine(number, io)] as const)])
}

const ioLine = (disk: string, io: IoLimits): string => {
  const bytes = (size: MemorySize | undefined) => (size === undefined ? "max" : toMib(size) * 1024 * 1024)
  return [
    disk,
    `rbps=${bytes(io.readPerSecond)}`,
    `wbps=${bytes(io.writePerSecond)}`,
    `riops=${io.readOpsPerSecond ?? "max"}`,
    `wiops=${io.writeOpsPerSecond ?? "max"}`
  ].join(" ")
}

/** Numbers ("8:0") of the host's disks that hold anything. */
const disks: Effect.Effect<ReadonlyArray<string>, FileError> = Effect.flatMap(list("/sys/block"), (names) =>
  Effect.map(
    Effect.forEach(names, (name) => Effect.all([read(`/sys/block/${name}/dev`), read(`/sys/block/${name}/size`)])),
    (found) => found.filter(([, sectors]) => sectors.trim() !== "0").map(([number]) => number.trim())
  )
)

/** A limit of memory that swap could evade would be none. A kernel without swap has no such file. */
const withoutSwap = (path: string, { memory }: LimitsConfig) =>
  write(join(path, "memory.swap.max"), "0").pipe(
    Effect.catchIf(
      ({ errno }) => errno === "ENOENT" || errno === "EACCES",
      () => Effect.void
    ),
    Effect.when(() => memory !== undefined)
  )

const outOfMemory = (path: string): Effect.Effect<boolean> =>
  Effect.match(read(join(path, "memory.events")), {
    // Without a limit of memory there is no such file.
    onFailure: () => false,
    onSuccess: (events) => /^oom_kill [1-9]/m.test(events)
  })
