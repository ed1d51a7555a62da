/** Where this process stands in the host's tree of cgroups. */
import { basename, dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import { read } from "./files.ts"

/** What can be limited, by the kernel's names. */
export const controllers = ["cpu", "memory", "pids", "io"] as const
export type Controller = (typeof controllers)[number]

/** The cgroup that this process moves itself to, so that the one above may have children with limits. */
export const ownLeaf = "capsa-host"

export interface CgroupTree {
  /** Absolute path of the cgroup in which machines get theirs; absent where cgroup v2 is not mounted or does not hold us. */
  readonly base: string | undefined
  /** Controllers that the host has handed to cgroup v1, where no other may use them. */
  readonly v1: ReadonlyArray<string>
}

/** From the texts of /proc/self/cgroup and /proc/self/mountinfo; see cgroups(7) and proc_pid_mountinfo(5). */
export const parse = (cgroups: string, mounts: string): CgroupTree => {
  const own = /^0::(\/.*)$/m.exec(cgroups)?.[1]
  const mounted = mounts.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ")
    const [, , , root = "", point = ""] = before.split(" ")
    const [type = "", , options = ""] = after.split(" ")
    return [{ root, point, type, options }]
  })
  const v1 = mounted
    .filter(({ type }) => type === "cgroup")
    .flatMap(({ options }) => options.split(","))
    // The one controller that has another name there.
    .map((name) => (name === "blkio" ? "io" : name))
  const v2 = mounted.find(({ type }) => type === "cgroup2")
  const path = own === undefined || v2 === undefined ? undefined : below(v2.point, v2.root, own)
  return { base: path !== undefined && basename(path) === ownLeaf ? dirname(path) : path, v1 }
}

/** The place of a cgroup where a part of the tree, from `root` down, is mounted at `point`. */
const below = (point: string, root: string, cgroup: string): string | undefined => {
  if (root === "/") return cgroup.startsWith("/../") ? undefined : join(point, cgroup)
  return cgroup === root || cgroup.startsWith(`${root}/`) ? join(point, cgroup.slice(root.length)) : undefined
}

/** Of this process. */
export const locate: Effect.Effect<CgroupTree> = Effect.all([
  read("/proc/self/cgroup"),
  read("/proc/self/mountinfo")
]).pipe(
  Effect.map(([cgroups, mounts]) => parse(cgroups, mounts)),
  Effect.orElseSucceed(() => ({ base: undefined, v1: [] }))
)
