/** Child processes that cannot outlive this one. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Connection, fromDescriptor } from "./connection.ts"

/** The program could not be started. `errno` is the host's name for why. */
export class SpawnError extends Data.TaggedError("SpawnError")<{
  readonly program: string
  readonly errno?: string | undefined
  readonly cause: unknown
}> {}

/** How a process ended: `signal` is set when one killed it. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: string | undefined
}

/** A child that belongs to the scope that spawned it, and is killed and reaped when that closes. */
export interface Supervised {
  readonly pid: number
  /** This process's ends of the child's descriptors 3, 4, … */
  readonly connections: ReadonlyArray<Connection>
  readonly exit: Effect.Effect<ProcessExit>
  /** The end of what it wrote to stdout; waits until that is closed. */
  readonly stdout: Effect.Effect<string>
  /** The end of what it wrote to stderr; for after its end. Empty if something it started keeps that open. */
  readonly stderr: Effect.Effect<string>
  /** Sends SIGKILL, also to a process that is stopped. Does nothing once it has ended: its id is ours until reaped. */
  readonly kill: Effect.Effect<void>
}

const standardStreams = 3

const tailBytesMax = 16 * 1024

/** Open files a child may have: a machine needs far fewer, and what a guest might make of it should stay small. */
const descriptorsMax = 1024

// It runs after setpriv has asked for the signal, so a parent that died before is found to be another now. `ulimit` says
// so where fewer are allowed already, which is as good.
const confine = `[ "$PPID" = "$1" ] || exit 126
[ -z "$2" ] || echo 0 >"$2/cgroup.procs" || exit 126
ulimit -c 0
ulimit -n ${descriptorsMax} 2>/dev/null
shift 2
exec "$@"`

export interface SpawnOptions {
  /** Socket pairs for its descriptors from 3 up. */
  readonly connections: number
  /** Absolute path of the cgroup that it is in before it runs. */
  readonly cgroup?: string | undefined
}

// A process in an uninterruptible wait of the host's kernel takes its time to die.
const deathTimeout = "10 seconds"

const closeTimeout = "1 second"

/**
 * Starts `argv[0]`, an absolute path, in a session of its own so that a terminal's Ctrl-C does not reach it. It writes no
 * core file and may open a bounded number of files.
 *
 * On Linux the kernel kills it when this process dies in any way. That signal is tied to the thread that spawned, and
 * Bun spawns from the JavaScript thread: in a Worker, the child ends with the Worker.
 */
export const spawn = Effect.fnUntraced(
  function* (argv: ReadonlyArray<string>, options: SpawnOptions) {
    const exited = yield* Deferred.make<ProcessExit>()
    const child = yield* Effect.acquireRelease(start(argv, options, exited), (child) =>
      Effect.zipRight(
        Effect.sync(() => child.kill("SIGKILL")),
        Effect.timeoutOption(Effect.interruptible(Deferred.await(exited)), deathTimeout)
      )
    )
    const ends = child.stdio
      .slice(standardStreams, standardStreams + options.connections)
      .filter((fd) => typeof fd === "number")
    const stdout = yield* Effect.forkScoped(Effect.interruptible(tailOf(child.stdout)))
    const stderr = yield* Effect.forkScoped(Effect.interruptible(tailOf(child.stderr)))
    return {
      pid: child.pid,
      connections: yield* Effect.forEach(ends, fromDescriptor),
      exit: Deferred.await(exited),
      stdout: Fiber.join(stdout),
      stderr: Effect.map(
        Effect.timeoutOption(Fiber.join(stderr), closeTimeout),
        Option.getOrElse(() => "")
      ),
      kill: Effect.sync(() => child.kill("SIGKILL"))
    } satisfies Supervised
  },
  // Between the spawn and the take-over of its descriptors nobody would close them.
  Effect.uninterruptible
)

const start = (
  argv: ReadonlyArray<string>,
  { cgroup = "", connections }: SpawnOptions,
  exited: Deferred.Deferred<ProcessExit>
) =>
  Effect.try({
    try: () => {
      const setpriv = setprivPath()
      const diesWithParent = setpriv === null ? [] : [setpriv, "--pdeathsig", "KILL", "--"]
      return Bun.spawn([...diesWithParent, "/bin/sh", "-c", confine, "sh", `${process.pid}`, cgroup, ...argv], {
        detached: true,
        // Messages are matched by their English text. Ephemeral disks are kept in TMPDIR.
        env: { LC_ALL: "C", ...(Bun.env["TMPDIR"] === undefined ? {} : { TMPDIR: Bun.env["TMPDIR"] }) },
        stdio: ["ignore", "pipe", "pipe", ...Array.from({ length: connections }, () => "socket-fd" as const)],
        onExit: (_, code, signal) =>
          Deferred.unsafeDone(exited, Effect.succeed({ code, signal: signal === null ? undefined : String(signal) }))
      })
    },
    catch: (cause) => new SpawnError({ program: argv[0] ?? "", errno: errnoOf(cause), cause })
  })

/** util-linux's way to ask for a signal at the parent's death, where this host has it. */
export const setprivPath = (): string | null => (process.platform === "linux" ? Bun.which("setpriv") : null)

const errnoOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const tailOf = (readable: ReadableStream<Uint8Array>): Effect.Effect<string> =>
  Stream.fromReadableStream({ evaluate: () => readable, onError: (cause) => cause }).pipe(
    // A pipe that fails ends: what matters is the exit.
    Stream.catchAll(() => Stream.empty),
    Stream.runFold(Buffer.alloc(0), (tail, chunk) => Buffer.concat([tail, chunk]).subarray(-tailBytesMax)),
    Effect.map((tail) => tail.toString().trim())
  )
