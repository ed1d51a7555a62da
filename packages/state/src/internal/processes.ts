/** Processes of this host, told apart for certain. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { ProcessIdentity } from "../MachineRecord.ts"
import { list, read } from "./files.ts"

/** A process that runs; one that has ended and waits to be reaped does not. */
export interface Process extends ProcessIdentity {
  readonly argv: ReadonlyArray<string>
}

const deathTimeout = "5 seconds"

const onLinux = process.platform === "linux"

/** The process with an id. */
export const find = (pid: number): Effect.Effect<Option.Option<Process>> =>
  onLinux ? fromProc(pid) : Effect.map(fromPs(["-p", String(pid)]), (found) => Option.fromNullable(found[0]))

/** All of this host that may be looked at. */
const all: Effect.Effect<ReadonlyArray<Process>> = Effect.suspend(() =>
  onLinux
    ? Effect.orElseSucceed(list("/proc"), () => []).pipe(
        Effect.map((names) => names.filter((name) => /^\d+$/.test(name)).map(Number)),
        Effect.flatMap((pids) => Effect.forEach(pids, (pid) => fromProc(pid))),
        Effect.map((found) => found.flatMap(Option.toArray))
      )
    : fromPs(["-A"])
)

/** Those that were started as the machine `id`: `-uuid` and the id, one after the other, are among their arguments. */
export const ofMachine = (id: string): Effect.Effect<ReadonlyArray<Process>> =>
  Effect.map(all, (found) =>
    found.filter(({ argv }) => argv.some((word, at) => word === "-uuid" && argv[at + 1] === id))
  )

/** Ends a process and waits until it is gone; tells whether it is. Another with the same id is not touched. */
export const kill = (identity: ProcessIdentity): Effect.Effect<boolean> => {
  const isAlive = Effect.map(find(identity.pid), Option.exists(isSame(identity)))
  const gone = Effect.repeat(isAlive, { while: (alive) => alive, schedule: Schedule.spaced("5 millis") })
  return Effect.gen(function* () {
    if (!(yield* isAlive)) return true
    // What a refusal means is seen by looking again.
    yield* Effect.ignore(Effect.try(() => process.kill(identity.pid, "SIGKILL")))
    return Option.isSome(yield* Effect.timeoutOption(gone, deathTimeout))
  })
}

/** A process, its parent, the parent of that, and so on. On Linux. */
export const lineage = (pid: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.matchEffect(statusOf(pid), {
    onFailure: () => Effect.succeed([]),
    onSuccess: ({ parent }) => Effect.map(lineage(parent), (above) => [pid, ...above])
  })

/** Whether two are the same process. */
export const isSame =
  (one: ProcessIdentity) =>
  (other: ProcessIdentity): boolean =>
    one.pid === other.pid && one.started === other.started

/** See proc_pid_stat(5): the name, in brackets, may hold anything; behind it come the fields from the third on. */
const statusOf = (pid: number) =>
  Effect.map(read(`/proc/${pid}/stat`), (stat) => {
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0], parent: Number(fields[1]), started: fields[19] ?? "" }
  })

const fromProc = (pid: number): Effect.Effect<Option.Option<Process>> =>
  Effect.all([statusOf(pid), read(`/proc/${pid}/cmdline`)]).pipe(
    Effect.map(([{ started, state }, cmdline]) => ({ state, pid, started, argv: cmdline.split("\0").slice(0, -1) })),
    Effect.option,
    Effect.map(Option.filter(({ state }) => state !== "Z" && state !== "X"))
  )

/** Where there is no /proc. Arguments come separated by spaces; those that matter here have none in them. */
export const fromPs = (selection: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Process>> =>
  Effect.try(() =>
    Bun.spawn(["ps", ...selection, "-o", "pid=", "-o", "lstart=", "-o", "args="], {
      env: { LC_ALL: "C" },
      stderr: "ignore"
    })
  ).pipe(
    Effect.flatMap(({ stdout }) => Effect.tryPromise(() => stdout.text())),
    Effect.map((text) => text.split("\n").flatMap(fromPsLine)),
    Effect.orElseSucceed(() => [])
  )

const fromPsLine = (line: string): ReadonlyArray<Process> => {
  const [, pid, started, argv] = /^ *(\d+) +(\w+ \w+ +\d+ \S+ \d+) (.*)$/.exec(line) ?? []
  if (pid === undefined || started === undefined || argv === undefined) return []
  return [{ pid: Number(pid), started, argv: argv.split(" ") }]
}
