/**
 * A machine in which `/dev/kvm` works, on a host where it does not: QEMU emulating a processor with AMD's or Arm's
 * virtualisation, showing the host's own files.
 *
 * @since 0.1.0
 */
import * as Architecture from "@capsa/guest/Architecture"
import type { BuildContext } from "@capsa/guest/Cache"
import * as Cache from "@capsa/guest/Cache"
import * as Cpio from "@capsa/guest/Cpio"
import { stage } from "@capsa/guest/Progress"
import { HostTicks } from "@capsa/native"
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as HostFiles from "./HostFiles.ts"
import { commandArchive } from "./internal/commandArchive.ts"
import { boards, qemuArguments } from "./internal/qemuArguments.ts"
import { LabError } from "./LabError.ts"
import * as LabImage from "./LabImage.ts"

/**
 * A folder of the host to be shown at another place; absolute paths.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mount {
  readonly host: string
  readonly guest: string
}

/**
 * What to run in the lab, and in how large a machine.
 *
 * @since 0.1.0
 * @category models
 */
export interface LabOptions {
  /** A program, looked up on the path of `environment`, and its arguments. It runs as root. */
  readonly command: Arr.NonEmptyReadonlyArray<string>
  /**
   * Absolute path of a folder of the host. What the command writes there is lost with the machine; below `/tmp`,
   * `/run` and `/dev/shm` it cannot write there at all.
   */
  readonly workingFolder: string
  /** The whole environment of the command. Default: empty. */
  readonly environment?: Readonly<Record<string, string>>
  /** Default: 4096. */
  readonly memoryMib?: number
  /**
   * Default: 1. With more, QEMU 7.2 to 10.0 now and then loses the state of a guest, or of the lab's own kernel, when one
   * processor interrupts another that is entering a guest.
   */
  readonly cpus?: number
  /** Default: the host's. */
  readonly architecture?: Architecture.Architecture
  /** Version of an arm64 lab's interrupt controller. Default: 3. */
  readonly gic?: 2 | 3
  /** A model of processor and its properties, as QEMU names them. Default: one that has what KVM and Bun need. */
  readonly processor?: string
  /** Virtual time that counts instructions, on one processor: the same work takes the same time in every run. */
  readonly icount?: boolean
  /** With `icount`: timers tick every 4 ms, as they do without. A guest with much to do is lost less often, and timers are late. */
  readonly periodicTick?: boolean
  /** Folders of the host to show at other places, read-only. */
  readonly mounts?: ReadonlyArray<Mount>
  /** Where the command's output goes: to this process's own standard output and error, or to streams (default). */
  readonly output?: "inherit" | "pipe"
}

/**
 * A command running in a lab machine. The streams must be read, or the command waits for ever; they are empty when
 * the output is inherited.
 *
 * @since 0.1.0
 * @category models
 */
export interface LabRun {
  readonly stdout: Stream.Stream<Uint8Array, LabError>
  readonly stderr: Stream.Stream<Uint8Array, LabError>
  /** Completes when the machine has booted and the command is about to start, or cannot start any more. */
  readonly started: Effect.Effect<void>
  /** The command's exit status as a shell has it (128 and the number of the signal), once the machine has ended. */
  readonly exitCode: Effect.Effect<number, LabError>
}

/**
 * Boots a lab machine and runs a command in it. Closing the scope ends the machine. It has all files of the host, and
 * cannot change them: what it writes is kept in memory. `/tmp`, `/run` and `/dev/shm` are new; there is no network but
 * `lo`. The command's environment also has `CAPSA_LAB=1`.
 *
 * A lab of another architecture cannot run the host's programs: it has busybox and Bun, and of the host's files the
 * working folder, the cache and the mounts.
 *
 * @since 0.1.0
 * @category running
 */
export const runInLab: (options: LabOptions) => Effect.Effect<LabRun, LabError, BuildContext | Scope.Scope> = Effect.fn(
  "Lab.runInLab"
)(
  function* (options: LabOptions) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* Effect.forEach(options.mounts ?? [], checkMount, { discard: true })
    const architecture = options.architecture ?? Architecture.host
    yield* checkTools(boards[architecture].program)
    yield* stage("preparing the lab's kernel")
    const image = yield* Effect.provideService(LabImage.image, Architecture.Target, architecture)
    const shown = yield* (image.root === "" ? behindMemory : needed)(options.workingFolder)
    const mounts = [...(options.mounts ?? []), ...shown]

    yield* stage("starting the lab")
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "capsa-lab." })
    const file = (name: string) => path.join(folder, name)
    const initrd = [yield* fs.readFile(image.initrd), Cpio.encode(commandArchive({ ...options, mounts }, image.root))]
    yield* fs.writeFile(file("initrd"), Buffer.concat(initrd))
    yield* Command.exitCode(Command.make("mkfifo", file("stdout"), file("stderr")))
    const hostFiles = yield* HostFiles.serve(folder)
    const ticksKilohertz = Option.getOrUndefined(yield* HostTicks.kilohertz)
    const output = options.output ?? "pipe"
    const stdout = yield* Command.start(Command.make("cat", file("stdout")).pipe(Command.stdout(output)))
    const stderr = yield* Command.start(
      Command.make("sh", "-c", 'exec cat "$0" >&2', file("stderr")).pipe(Command.stderr(output))
    )
    const qemu = yield* Command.start(
      Command.make(
        "setpriv",
        "--pdeathsig",
        "KILL",
        ...qemuArguments(options, { ...image, architecture, hostFiles, folder, ticksKilohertz })
      )
    )
    yield* stage("booting the lab")

    const status = fs.readFileString(file("status"))
    const ended = yield* Effect.gen(function* () {
      const complaints = yield* Stream.mkString(Stream.decodeText(qemu.stderr))
      yield* Effect.exit(qemu.exitCode)
      // QEMU may have ended before it opened the pipes, whose readers would then wait for ever.
      yield* Command.exitCode(Command.make("sh", "-c", ': <>"$0" <>"$1"', file("stdout"), file("stderr")))
      yield* Effect.all([stdout.exitCode, stderr.exitCode])
      const said = yield* Effect.orElseSucceed(status, () => "")
      const code = /^started\n(\d+)\n$/.exec(said)?.[1]
      if (code !== undefined) return Number(code)
      const log = yield* Effect.orElseSucceed(fs.readFileString(file("kernel.log")), () => "")
      return yield* new LabError({
        reason: said === "" ? "BootFailed" : "MachineLost",
        subject: options.command[0],
        hint: "the end of the kernel's log says more; try more --memory if it ran out",
        cause: `${log.slice(-logTail)}\n${complaints}`.trim()
      })
    }).pipe(Effect.catchTags({ BadArgument: lost, SystemError: lost }), Effect.forkScoped)

    return {
      stdout: output === "pipe" ? Stream.mapError(stdout.stdout, lost) : Stream.empty,
      stderr: output === "pipe" ? Stream.mapError(stderr.stderr, lost) : Stream.empty,
      started: status.pipe(
        Effect.orElseSucceed(() => ""),
        Effect.repeat({ until: (text) => text !== "", schedule: Schedule.spaced("50 millis") }),
        Effect.raceFirst(Fiber.await(ended)),
        Effect.asVoid
      ),
      exitCode: Fiber.join(ended)
    } satisfies LabRun
  },
  Effect.catchTags({ BadArgument: lost, SystemError: lost })
)

/** How much of the kernel's log an error carries, in characters. */
const logTail = 6000

/** Folders that the command needs, in their own places. */
const needed = Effect.fnUntraced(function* (...folders: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const there = yield* Effect.filter([...folders, yield* cacheFolder], (folder) => fs.exists(folder))
  return there.map((folder) => ({ host: folder, guest: folder }))
})

/** Those of them that new file systems in memory would hide. */
const behindMemory = Effect.fnUntraced(function* (workingFolder: string) {
  const path = yield* Path.Path
  const mounts = yield* needed(workingFolder, path.dirname(process.execPath))
  return mounts.filter(({ guest }) => /^\/(tmp|run|dev\/shm)\//.test(guest))
})

const cacheFolder = Effect.mapError(
  Cache.folder,
  (cause) => new LabError({ reason: "ImageUnavailable", subject: cause.message, hint: cause.hint, cause })
)

const checkMount = Effect.fnUntraced(function* (mount: Mount) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const isFolder = yield* fs.stat(mount.host).pipe(
    Effect.map((info) => info.type === "Directory"),
    Effect.orElseSucceed(() => false)
  )
  if (isFolder && path.isAbsolute(mount.host) && path.isAbsolute(mount.guest)) return
  return yield* new LabError({
    reason: "InvalidMount",
    subject: `${mount.host}:${mount.guest}`,
    hint: "name a folder that exists, and the place to show it, both as absolute paths"
  })
})

const checkTools = (qemu: string) => {
  const missing = [qemu, "setpriv", "unshare", "mkfifo"].filter((tool) => Bun.which(tool) === null)
  if (missing.length === 0) return Effect.void
  return new LabError({
    reason: "ToolMissing",
    subject: missing.join(", "),
    hint: "`bun run setup` installs them, or: apt-get install qemu-system-x86 qemu-system-arm util-linux coreutils"
  })
}

function lost(cause: unknown) {
  return new LabError({
    reason: "BootFailed",
    subject: "setting the machine up",
    hint: "check that the temporary folder is writable and has space",
    cause
  })
}
