/** Whether this process may divide its cgroup among machines, and doing so. */
import { join } from "node:path"
import { VmBootError } from "@capsa/core"
import * as Effect from "effect/Effect"
import { type Controller, locate, ownLeaf } from "./cgroupTree.ts"
import { type FileError, list, makeFolder, read, writable, write } from "./files.ts"
import { lineage } from "./processes.ts"

export interface Delegation {
  /** Absolute path of the cgroup in which machines get theirs. */
  readonly base: string
  /** Controllers that its children do not have yet. */
  readonly disabled: ReadonlyArray<Controller>
}

/** Looks whether children with these controllers can be had; changes nothing. */
export const inspect = (wanted: ReadonlyArray<Controller>): Effect.Effect<Delegation, VmBootError> =>
  Effect.flatMap(locate, ({ base, v1 }) => {
    if (base === undefined) return v1.length > 0 ? onlyV1(wanted) : notMounted
    return inspectBase(base, v1, wanted).pipe(Effect.catchTag("FileError", (error) => refused(error)))
  })

const inspectBase = Effect.fnUntraced(function* (
  base: string,
  v1: ReadonlyArray<string>,
  wanted: ReadonlyArray<Controller>
) {
  const available = words(yield* read(join(base, "cgroup.controllers")))
  const missing = wanted.filter((name) => !available.includes(name))
  if (missing.some((name) => v1.includes(name))) return yield* onlyV1(missing)
  if (missing.length > 0) return yield* notDelegated(base, missing)
  const enabled = words(yield* read(join(base, control)))
  const disabled = wanted.filter((name) => !enabled.includes(name))
  yield* writable(base)
  if (disabled.length > 0) yield* writable(join(base, control))
  const others = yield* strangers(base)
  return others.length > 0 ? yield* shared(base, others) : { base, disabled }
})

/** Empties `base`, which cannot have both processes and children with limits, and gives the controllers to its children. */
export const divide = Effect.fnUntraced(
  function* ({ base, disabled }: Delegation) {
    // What they start while they move may be left behind.
    const crowd = yield* Effect.repeat(moveAside(base), { until: (left) => left.length === 0, times: 10 })
    if (crowd.length > 0) return yield* shared(base, crowd)
    if (disabled.length > 0) yield* write(join(base, control), disabled.map((name) => `+${name}`).join(" "))
  },
  Effect.catchTag("FileError", (error) => refused(error))
)

const control = "cgroup.subtree_control"
const procs = "cgroup.procs"

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

/** Processes in a cgroup that keep it from being divided: none for the root of the tree, which may have both. */
const members = Effect.fnUntraced(function* (cgroup: string) {
  if (!(yield* list(cgroup)).includes("cgroup.type")) return []
  return words(yield* read(join(cgroup, procs))).map(Number)
})

/** Those that are not this process, its ancestors or its descendants. */
const strangers = Effect.fnUntraced(function* (cgroup: string) {
  const ours = yield* lineage(process.pid)
  return yield* Effect.filter(yield* members(cgroup), (pid) =>
    ours.includes(pid) ? Effect.succeed(false) : Effect.map(lineage(pid), (above) => !above.includes(process.pid))
  )
})

/** Moves the processes of a cgroup to a child of it; tells which are left. */
const moveAside = Effect.fnUntraced(function* (base: string) {
  const leaf = join(base, ownLeaf)
  const moving = yield* members(base)
  if (moving.length === 0) return []
  yield* makeFolder(leaf)
  // One that has ended meanwhile cannot move, and need not.
  yield* Effect.forEach(moving, (pid) => Effect.ignore(write(join(leaf, procs), String(pid))))
  return yield* members(base)
})

const unavailable = (fields: Omit<ConstructorParameters<typeof VmBootError>[0], "reason">) =>
  Effect.fail(new VmBootError({ reason: "LimitsUnavailable", field: "limits", ...fields }))

const withoutLimits = "Or leave `limits` out."

const notMounted = unavailable({
  detail: "Machines cannot be limited: this process is in no cgroup of version 2",
  subject: "/sys/fs/cgroup",
  hint: `Mount it (\`sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup\`); in a container, give it a cgroup namespace of its own. ${withoutLimits}`
})

const onlyV1 = (missing: ReadonlyArray<string>) =>
  unavailable({
    detail: `Machines cannot be limited: this host has ${missing.join(", ")} in cgroups of version 1`,
    subject: "/sys/fs/cgroup",
    hint: `Capsa needs version 2: boot the host with \`systemd.unified_cgroup_hierarchy=1\` on its kernel's command line. ${withoutLimits}`
  })

const delegate =
  "Start the program in a cgroup of its own: `systemd-run --user --scope -p Delegate=yes -- PROGRAM`, or `Delegate=yes` in the [Service] part of its unit."

const notDelegated = (base: string, missing: ReadonlyArray<string>) =>
  unavailable({
    detail: `Machines cannot be limited: this process's cgroup was given no ${missing.join(", ")}`,
    subject: base,
    hint: `${delegate} A user gets all controllers where \`user@.service\` has \`Delegate=cpu cpuset io memory pids\`. ${withoutLimits}`
  })

const shared = (base: string, others: ReadonlyArray<number>) =>
  unavailable({
    detail: `Machines cannot be limited: this process shares its cgroup with others (process ${others.slice(0, 3).join(", ")})`,
    subject: base,
    hint: `${delegate} ${withoutLimits}`
  })

/** For a call on a cgroup that the kernel refused. */
export const refused = ({ cause, errno, operation, path }: FileError) =>
  unavailable({
    detail: "Machines cannot be limited: this process may not change its cgroup",
    subject: path,
    operation,
    errno,
    hint: `${delegate} ${withoutLimits}`,
    cause
  })
