import * as Duration from "effect/Duration"
import type { LimitsConfig } from "../LimitsConfig.ts"
import type { MainConfig } from "../MainConfig.ts"
import { format, type MemorySize, toMib } from "../MemorySize.ts"
import type { TimeSpan } from "../TimeSpan.ts"
import { ensure, type Problems, within } from "./problem.ts"

/** The least memory a machine can have, in MiB: below it no current kernel unpacks itself. */
export const memoryMinMib = 32

/** What is wrong with limits, whoever holds them. */
export const limitProblems = ({ cpus, memory, pids, io = {} }: LimitsConfig = {}): Problems => [
  // The shortest quota that the kernel takes is a millisecond of its usual period of 100 (kernel/sched/core.c).
  ...within("limits.cpus", cpus, 0.01, 4096),
  ...atLeast("limits.memory", memory, memoryMinMib),
  // PID_MAX_LIMIT of include/linux/threads.h.
  ...within("limits.pids", pids, 1, 4 * 1024 * 1024),
  ...atLeast("limits.io.readPerSecond", io.readPerSecond, 1),
  ...atLeast("limits.io.writePerSecond", io.writePerSecond, 1),
  ...within("limits.io.readOpsPerSecond", io.readOpsPerSecond, 1, opsMax),
  ...within("limits.io.writeOpsPerSecond", io.writeOpsPerSecond, 1, opsMax)
]

const opsMax = 2 ** 31 - 1

const atLeast = (path: string, size: MemorySize | undefined, mib: number): Problems =>
  ensure(
    size === undefined || toMib(size) >= mib,
    path,
    `${size === undefined ? "" : format(toMib(size))} is too little.`,
    `Give at least ${format(mib)}.`
  )

/** The longest `readyTimeout` and `maxLifetime`: what the timers of JavaScript can count, in whole days. */
export const timeSpanMax = "24 days"

/** What is wrong with a span of time. */
export const timeProblems = (path: string, span: TimeSpan | undefined): Problems =>
  ensure(
    span === undefined || (Duration.greaterThan(span, 0) && Duration.lessThanOrEqualTo(span, timeSpanMax)),
    path,
    `A ${path} of ${span} is out of range.`,
    `Give more than 0, at most ${timeSpanMax}.`
  )

/** What is wrong with a main process, as far as the host can tell. */
export const mainProblems = (main: MainConfig | undefined): Problems => {
  if (main === undefined) return []
  const { argv, env = {}, cwd, user } = main
  return [
    ...ensure(argv[0] !== "", "main.argv.0", "A program has no empty name.", "Name the program to run."),
    ...argv.flatMap((argument, index) => withoutNul(`main.argv.${index}`, argument)),
    ...Object.entries(env).flatMap(([name, value]) => withoutNul(`main.env.${name}`, value)),
    ...ensure(
      cwd === undefined || cwd.startsWith("/"),
      "main.cwd",
      `"${cwd}" is no absolute path.`,
      "Start it with /; it is a folder of the guest."
    ),
    ...withoutNul("main.cwd", cwd),
    ...ensure(
      user === undefined || /^[\w][\w.-]{0,31}(:[\w][\w.-]{0,31})?$/.test(user),
      "main.user",
      `${JSON.stringify(user)} cannot be a user.`,
      'Write it like "name", "1000", "name:group" or "1000:1000".'
    )
  ]
}

const withoutNul = (path: string, text: string | undefined): Problems =>
  ensure(!text?.includes("\0"), path, "It holds a NUL character, which ends it for the guest.", "Leave it out.")
