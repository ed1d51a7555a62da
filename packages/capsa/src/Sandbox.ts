/** Machines with capsa's agent in them: commands, files, and orderly ends. */
import type { Backend, SandboxError, VmConfig, VmError, VmExit } from "@capsa/core"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { SignalName } from "./internal/agent/signals.ts"
import * as Launch from "./internal/launch.ts"
import type { StopOptions, Vm } from "./Vm.ts"

export type { SignalName }

/** @category models */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** A program, found on the guest's PATH, and its arguments; or a line for `/bin/sh -c`. @category models */
export type Command = string | readonly [program: string, ...args: ReadonlyArray<string>]

/** What goes to a process, and then its end. @category models */
export type InputSource = string | Uint8Array | Stream.Stream<Uint8Array, SandboxError>

/** @category models */
export interface SpawnOptions {
  /** Working folder; "/" if absent. */
  readonly cwd?: string | undefined
  /** Variables beside PATH, HOME, USER and LOGNAME, which it may replace. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** "name", "uid", "name:group" or "uid:gid"; root if absent. */
  readonly user?: string | undefined
  /** Runs it in a terminal, of this size or of 80 columns and 24 rows. Both outputs come as `stdout` then. */
  readonly tty?: boolean | TerminalSize | undefined
  /** Whether it has an input that can be written to; if not, its input is empty. A terminal always has one. */
  readonly stdin?: boolean | undefined
}

/** @category models */
export interface ExecOptions extends Omit<SpawnOptions, "stdin"> {
  readonly stdin?: InputSource | undefined
  /** When it is killed, with all that it has started: the call fails with `TimeLimit`. No limit if absent. */
  readonly timeLimit?: Duration.DurationInput | undefined
  /** What is kept of each output; 16 MiB if absent. The rest is read and thrown away, and `truncated` says so. */
  readonly outputBytesMax?: number | undefined
}

/** How a process ended. @category models */
export interface ProcessExit {
  /** As shells have it: 128 and the signal's number if one killed it. */
  readonly exitCode: number
  /** The signal that killed it. */
  readonly signal?: string | undefined
}

/** @category models */
export interface ExecResult extends ProcessExit {
  /** As UTF-8 text. */
  readonly stdout: string
  readonly stderr: string
  /** The same, byte for byte. */
  readonly bytes: { readonly stdout: Uint8Array; readonly stderr: Uint8Array }
  /** Whether one of them was longer than what was to be kept. */
  readonly truncated: boolean
}

/** @category models */
export interface KillOptions {
  /** SIGTERM if absent. */
  readonly signal?: SignalName | undefined
  /**
   * Whom: the process alone, its process group (if absent), or, by SIGKILL only, everything that it has started, whatever
   * that did to get away.
   */
  readonly scope?: "process" | "group" | "tree" | undefined
}

/** A process of the guest. It belongs to the scope that spawned it, and is killed, with all that it started, when that closes. @category models */
export interface SandboxProcess {
  readonly pid: number
  /**
   * What it writes, to be consumed once and as fast as it is read: unread output holds it back. It ends when nobody has it
   * open any more, which may be after `exit`. One that is left before its end is closed, as by `head`.
   */
  readonly stdout: Stream.Stream<Uint8Array, SandboxError>
  readonly stderr: Stream.Stream<Uint8Array, SandboxError>
  readonly stdin: {
    /** Waits while it does not read; fails with `InputClosed` when it never will. */
    readonly write: (data: string | Uint8Array) => Effect.Effect<void, SandboxError>
    /** The end of its input; in a terminal Ctrl-D. */
    readonly end: Effect.Effect<void, SandboxError>
  }
  /** How it ended, whether or not its output was read. */
  readonly exit: Effect.Effect<ProcessExit, SandboxError>
  readonly kill: (options?: KillOptions) => Effect.Effect<void>
  /** Of its terminal. */
  readonly resize: (size: TerminalSize) => Effect.Effect<void>
}

/** @category models */
export interface FileEntry {
  /** In its folder. Bytes that are not UTF-8 are U+FFFD. */
  readonly name: string
  readonly type: "file" | "folder" | "link" | "fifo" | "socket" | "device"
  /** In bytes. */
  readonly size: number
  /** Permissions. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Milliseconds since 1970. */
  readonly modifiedMs: number
  /** Where a link leads. */
  readonly target?: string | undefined
}

/** @category models */
export interface FileOptions {
  /** Who does it, as of commands; root if absent. */
  readonly user?: string | undefined
}

/** @category models */
export interface ReadOptions extends FileOptions {
  /** Where to begin; 0 if absent. */
  readonly offset?: number | undefined
  /** How many bytes at most. */
  readonly length?: number | undefined
}

/** @category models */
export interface WriteOptions extends FileOptions {
  /** Permissions; of a new file 0o644 if absent, else as they are. */
  readonly mode?: number | undefined
  /** Adds to what is there, instead of replacing it. */
  readonly append?: boolean | undefined
}

/** @category models */
export interface StatOptions extends FileOptions {
  readonly follow?: boolean | undefined
}

/** @category models */
export interface MkdirOptions extends FileOptions {
  /** Makes the folders that lead to it, too, and is content with one that is there. */
  readonly recursive?: boolean | undefined
  readonly mode?: number | undefined
}

/** @category models */
export interface RemoveOptions extends FileOptions {
  /** With all that is in it. Links are removed, never followed. */
  readonly recursive?: boolean | undefined
  /** Is content with nothing being there. */
  readonly force?: boolean | undefined
}

/** Files of the guest. Paths are absolute. @category models */
export interface SandboxFiles {
  /** The whole of a file. */
  readonly read: (path: string, options?: ReadOptions) => Effect.Effect<Uint8Array, SandboxError>
  /** The same, as UTF-8 text. */
  readonly readText: (path: string, options?: ReadOptions) => Effect.Effect<string, SandboxError>
  /** The same piece by piece, for files of any size. */
  readonly stream: (path: string, options?: ReadOptions) => Stream.Stream<Uint8Array, SandboxError>
  /** Makes or replaces a file. A write that is interrupted leaves a part. */
  readonly write: (path: string, data: InputSource, options?: WriteOptions) => Effect.Effect<void, SandboxError>
  readonly list: (path: string, options?: FileOptions) => Effect.Effect<ReadonlyArray<FileEntry>, SandboxError>
  /** Of what a link leads to, unless `follow` is false. */
  readonly stat: (path: string, options?: StatOptions) => Effect.Effect<FileEntry, SandboxError>
  readonly exists: (path: string, options?: FileOptions) => Effect.Effect<boolean, SandboxError>
  readonly mkdir: (path: string, options?: MkdirOptions) => Effect.Effect<void, SandboxError>
  readonly remove: (path: string, options?: RemoveOptions) => Effect.Effect<void, SandboxError>
  readonly rename: (from: string, to: string, options?: FileOptions) => Effect.Effect<void, SandboxError>
  /** A file or folder as a tar archive; the root of it is called ".". */
  readonly pack: (path: string, options?: FileOptions) => Stream.Stream<Uint8Array, SandboxError>
  /** The content of a tar archive as `path`. What leads out of it, and devices, are refused with `UnsafeArchive`. */
  readonly unpack: (
    path: string,
    archive: Stream.Stream<Uint8Array, SandboxError>,
    options?: FileOptions
  ) => Effect.Effect<void, SandboxError>
}

/** What was copied. @category models */
export interface Copied {
  /** Files, folders and links. */
  readonly entries: number
  /** Sockets, pipes and devices that were left out. */
  readonly skipped: number
}

/** @category models */
export interface SandboxInfo {
  /** Versions of the agent and of the guest's kernel. */
  readonly agent: string
  readonly kernel: string
  readonly architecture: string
  readonly hostname: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly freeBytes: number
  readonly uptimeSeconds: number
  /** The guest's clock. */
  readonly clockMs: number
  readonly addresses: ReadonlyArray<{ readonly device: string; readonly address: string }>
  readonly mounts: ReadonlyArray<{ readonly source: string; readonly target: string; readonly type: string }>
}

/** @category models */
export interface SandboxHealth {
  /** How long the agent took to answer. */
  readonly roundTrip: Duration.Duration
}

/** What can be asked of an agent. @category models */
export interface Agent {
  /**
   * Runs a command to its end, and gives what it wrote by then. An exit code that is not 0 is no failure. An interrupted one is
   * killed with all that it has started; what it leaves behind when it ends by itself lives on, and may write into the void.
   */
  readonly exec: (command: Command, options?: ExecOptions) => Effect.Effect<ExecResult, SandboxError>
  /** Starts a command. */
  readonly spawn: (command: Command, options?: SpawnOptions) => Effect.Effect<SandboxProcess, SandboxError, Scope.Scope>
  readonly files: SandboxFiles
  /**
   * Copies a file or folder of the host into the guest, as the path that is given, merging folders. Modes, times and links are
   * kept, owners are not.
   */
  readonly copyIn: (host: string, guest: string, options?: FileOptions) => Effect.Effect<Copied, SandboxError>
  /**
   * Copies a file or folder of the guest to the host, as the path that is given. Whatever the guest sends, nothing is written
   * elsewhere, no device is made and no file gets a privilege. A link is copied only as a part of a folder: in the place that is
   * given it would lead whoever uses that to where the guest likes.
   */
  readonly copyOut: (guest: string, host: string, options?: FileOptions) => Effect.Effect<Copied, SandboxError>
  readonly info: Effect.Effect<SandboxInfo, SandboxError>
  /** Whether the agent answers. */
  readonly health: Effect.Effect<SandboxHealth, SandboxError>
}

/**
 * A machine with an agent.
 *
 * @category models
 */
export interface Sandbox extends Vm, Agent {
  /**
   * Has the guest end its processes within the grace (5 seconds if absent) and switch itself off; kills the machine if it does
   * not. Tells how it ended.
   */
  readonly shutdown: (options?: StopOptions) => Effect.Effect<VmExit>
}

/**
 * Launches a machine, as `Vm.launch` does, and greets its agent: that of the built-in guest, or of an initrd with the same
 * program as its `/init`. Succeeds when the agent has set the guest's name and clock and started the main process, if there is
 * one; waits for that for `readyTimeout`, or two minutes.
 *
 * @category constructors
 */
export const launch: (config: VmConfig) => Effect.Effect<Sandbox, VmError, Backend | Scope.Scope> = Launch.sandbox
