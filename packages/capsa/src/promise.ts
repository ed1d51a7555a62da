/**
 * The same machines for plain `async` scripts: `import * as capsa from "capsa/promise"`. What is an `Effect` in
 * `capsa` is a method here that gives a promise, what is a `Stream` is an async iterable. A promise is rejected with the
 * same tagged errors, or, when its `signal` is aborted, with the signal's reason.
 *
 * A script ends by itself once its machines are closed or have ended, and no machine outlives it.
 */
import type {
  Backend,
  BackendError,
  BackendName,
  BootStage,
  MachineStats,
  NetworkDecision,
  NetworkFlow,
  NetworkLogLine,
  NetworkPolicy,
  VmConfig,
  VmExit,
  VmStatus
} from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type {
  ConsoleChunk,
  ConsoleMatch,
  ExpectOptions,
  LoginOptions,
  Pattern,
  RunOptions,
  RunResult
} from "./Console.ts"
import * as SandboxFacade from "./internal/sandboxFacade.ts"
import * as Session from "./internal/session.ts"
import * as VsockFacade from "./internal/vsockFacade.ts"
import type {
  Command,
  Copied,
  ExecResult,
  FileEntry,
  FileOptions,
  KillOptions,
  MkdirOptions,
  ProcessExit,
  ReadOptions,
  RemoveOptions,
  SandboxHealth,
  SandboxInfo,
  SpawnOptions,
  StatOptions,
  TerminalSize,
  ExecOptions as WithInput,
  WriteOptions
} from "./Sandbox.ts"
import type { Vm as Machine, StopOptions, VmBackend } from "./Vm.ts"
import type { VmPoolOptions, VmPoolStats } from "./VmPool.ts"
import type { ConnectOptions, VsockPoolOptions, VsockPoolStats } from "./Vsock.ts"

export {
  BackendError,
  ConsoleError,
  MachineError,
  PoolError,
  SandboxError,
  StateError,
  VmBootError,
  VmConfig,
  VmConfigError,
  type VmError,
  type VmExit,
  type VmStatus,
  VsockError
} from "@capsa/core"

/** @category models */
export interface CallOptions {
  /** Gives up when it is aborted: the promise is rejected with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** @category models */
export interface LaunchOptions extends CallOptions {
  /**
   * What runs the machine: `auto` (if absent) is the best of this host, or what `CAPSA_BACKEND` names. A layer is built
   * with the first machine that names it and released with the last.
   */
  readonly backend?: "auto" | BackendName | Layer.Layer<Backend, BackendError> | undefined
}

/** As in `capsa`; what is read here is read from the first call of `next` on, and as fast as it is asked for. @category models */
export interface Console {
  /** Output from the beginning of the iteration on; a reader that is too slow for the history loses what has left it. */
  readonly output: AsyncIterable<Uint8Array>
  /** The same, with positions and losses. */
  readonly chunks: AsyncIterable<ConsoleChunk>
  /** The same from a position on, or from the oldest byte still held. */
  chunksFrom(position: number): AsyncIterable<ConsoleChunk>
  /** The last output. */
  history(): Promise<Uint8Array>
  /** Bytes of output that the backend dropped. */
  lost(): Promise<number>
  /** Types bytes or UTF-8 text; waits while the console's buffer is full. */
  write(data: string | Uint8Array, options?: CallOptions): Promise<void>
  /** Types a line and presses Enter. */
  writeLine(text: string, options?: CallOptions): Promise<void>
  /** Waits for the first of the patterns. */
  expect(patterns: Pattern | ReadonlyArray<Pattern>, options?: ExpectOptions & CallOptions): Promise<ConsoleMatch>
  /** Runs a command in the shell that waits at the console. An aborted one runs on in the guest. */
  run(command: string, options?: RunOptions & CallOptions): Promise<RunResult>
  /** Answers the login prompt, and waits for the shell. */
  login(options: LoginOptions & CallOptions): Promise<void>
  /** Presses Ctrl-C. */
  interrupt(options?: CallOptions): Promise<void>
  /** Presses Ctrl-D. */
  eof(options?: CallOptions): Promise<void>
}

/** As in `capsa`. @category models */
export interface Network {
  /** What would be decided about a connection now, and why. */
  explain(flow: NetworkFlow, options?: CallOptions): Promise<NetworkDecision>
  /** Gives it other rules, which hold from the next packet on. */
  setPolicy(policy: NetworkPolicy, options?: CallOptions): Promise<void>
  /** What was denied or noted so far and from now on, each line given to one reader. */
  readonly log: AsyncIterable<NetworkLogLine>
}

/** A connection between host and guest. `await using` closes it; one of a pool goes back there. @category models */
export interface VsockConnection extends AsyncDisposable {
  /** The guest's port of a connection to it; the host's of one that the guest made. */
  readonly port: number
  /** What the guest sends, until it says that it sends no more; read as fast as it is asked for. */
  readonly readable: AsyncIterable<Uint8Array>
  /** Sends bytes or UTF-8 text; waits while the guest's program does not read. */
  write(data: string | Uint8Array, options?: CallOptions): Promise<void>
  /** Says that this side sends no more; the guest may go on. */
  end(options?: CallOptions): Promise<void>
  close(): Promise<void>
}

/** As in `capsa`. @category models */
export interface VsockPool extends AsyncDisposable {
  /** A connection for the caller alone, which its `close` gives back. */
  acquire(options?: CallOptions): Promise<VsockConnection>
  /** The same to another port. */
  acquireTo(port: number, options?: CallOptions): Promise<VsockConnection>
  stats(): Promise<VsockPoolStats>
  close(): Promise<void>
}

/** As in `capsa`. @category models */
export interface Vsock {
  /** Connects to a port of the guest. */
  connect(port: number, options?: ConnectOptions & CallOptions): Promise<VsockConnection>
  /**
   * Connections of the guest to a port of the host, listened at from the first call of `next` on. The end of the iteration
   * closes those that are open.
   */
  listen(port: number): AsyncIterable<VsockConnection>
  pool(options: VsockPoolOptions): Promise<VsockPool>
  /** The Unix socket that other programs connect to. */
  readonly path: string | undefined
}

/**
 * A machine that came up. `await using` kills it at the end of the block; so does `close`. It may end earlier, and then all of
 * this still answers.
 *
 * @category models
 */
export interface Vm extends AsyncDisposable {
  readonly id: string
  readonly name: string
  readonly config: VmConfig
  readonly backend: VmBackend
  readonly console: Console
  readonly vsock: Vsock
  status(): Promise<VmStatus>
  /** From the present status to `Ended`. */
  readonly statusChanges: AsyncIterable<VmStatus>
  stages(): Promise<ReadonlyArray<BootStage>>
  /** The stages reached so far and from now on. */
  readonly stageChanges: AsyncIterable<BootStage>
  /** Presses the power button, kills after the grace. Goes on when the signal is aborted: that ends the waiting only. */
  stop(options?: StopOptions & CallOptions): Promise<VmExit>
  kill(options?: CallOptions): Promise<VmExit>
  wait(options?: CallOptions): Promise<VmExit>
  pause(options?: CallOptions): Promise<void>
  resume(options?: CallOptions): Promise<void>
  stats(): Promise<MachineStats>
  readonly network: Network
  /** Kills the machine, if it runs, and gives back all that it holds. */
  close(): Promise<void>
}

/** What goes to a process or a file. @category models */
export type InputSource = string | Uint8Array | AsyncIterable<Uint8Array>

/** @category models */
export interface ExecOptions extends Omit<WithInput, "stdin">, CallOptions {
  readonly stdin?: InputSource | undefined
}

/** A process of the guest. `await using` kills it at the end of the block, with all that it started; so does `close`. @category models */
export interface SandboxProcess extends AsyncDisposable {
  readonly pid: number
  /** What it writes, read as fast as it is asked for: unread output holds it back. */
  readonly stdout: AsyncIterable<Uint8Array>
  readonly stderr: AsyncIterable<Uint8Array>
  /** Writes to its input; waits while it does not read. */
  write(data: string | Uint8Array, options?: CallOptions): Promise<void>
  /** Ends its input. */
  end(options?: CallOptions): Promise<void>
  /** How it ended, whether or not its output was read. */
  exit(options?: CallOptions): Promise<ProcessExit>
  kill(options?: KillOptions): Promise<void>
  /** Of its terminal. */
  resize(size: TerminalSize): Promise<void>
  close(): Promise<void>
}

/** Files of the guest, by absolute paths. @category models */
export interface SandboxFiles {
  read(path: string, options?: ReadOptions & CallOptions): Promise<Uint8Array>
  /** The same, as UTF-8 text. */
  readText(path: string, options?: ReadOptions & CallOptions): Promise<string>
  /** The same piece by piece, for files of any size. */
  stream(path: string, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** Makes or replaces a file. */
  write(path: string, data: InputSource, options?: WriteOptions & CallOptions): Promise<void>
  list(path: string, options?: FileOptions & CallOptions): Promise<ReadonlyArray<FileEntry>>
  stat(path: string, options?: StatOptions & CallOptions): Promise<FileEntry>
  exists(path: string, options?: FileOptions & CallOptions): Promise<boolean>
  mkdir(path: string, options?: MkdirOptions & CallOptions): Promise<void>
  remove(path: string, options?: RemoveOptions & CallOptions): Promise<void>
  rename(from: string, to: string, options?: FileOptions & CallOptions): Promise<void>
}

/** A machine with an agent: commands, files, and an orderly end. @category models */
export interface Sandbox extends Vm {
  /** Runs a command to its end; an exit code that is not 0 is no failure. An aborted one is killed, with all that it started. */
  exec(command: Command, options?: ExecOptions): Promise<ExecResult>
  spawn(command: Command, options?: SpawnOptions & CallOptions): Promise<SandboxProcess>
  readonly files: SandboxFiles
  /** Copies a file or folder of the host into the guest, merging folders. */
  copyIn(host: string, guest: string, options?: FileOptions & CallOptions): Promise<Copied>
  /** Copies a file or folder of the guest to the host; whatever the guest sends, nothing is written elsewhere. */
  copyOut(guest: string, host: string, options?: FileOptions & CallOptions): Promise<Copied>
  info(options?: CallOptions): Promise<SandboxInfo>
  /** Whether the agent answers, and how fast. */
  health(options?: CallOptions): Promise<SandboxHealth>
  /** Ends the guest's processes within the grace and has it switch itself off; kills the machine if it does not. */
  shutdown(options?: StopOptions & CallOptions): Promise<VmExit>
}

/** @category models */
export interface PoolOptions extends Omit<VmPoolOptions, "ready" | "reset">, Pick<LaunchOptions, "backend"> {
  /** Fulfilled when a machine can be given away. `signal` is aborted when the pool gives up on it. */
  readonly ready?: ((vm: Vm, options: Required<CallOptions>) => PromiseLike<unknown>) | undefined
  /** Makes a machine that was used as good as new; if it is rejected, the machine is destroyed. */
  readonly reset?: ((vm: Vm, options: Required<CallOptions>) => PromiseLike<unknown>) | undefined
}

/**
 * Machines of one kind, kept ready. `await using` closes it at the end of the block; so does `close`. All its machines end
 * then, and who waits for one is rejected. A script with an open pool does not end by itself.
 *
 * @category models
 */
export interface Pool extends AsyncDisposable {
  /** A machine for the caller alone, which its `close` gives back. Served in the order of asking. */
  acquire(options?: CallOptions): Promise<Vm>
  /** The same if a machine is idle. */
  tryAcquire(options?: CallOptions): Promise<Vm | undefined>
  stats(): Promise<VmPoolStats>
  close(): Promise<void>
}

/**
 * Launches a machine. An aborted or failed launch leaves nothing behind.
 *
 * @category constructors
 */
export const launch = async (config: VmConfig, { backend, signal }: LaunchOptions = {}): Promise<Vm> => {
  const runner = await Session.runner()
  const { close, value } = await runner.run(Session.launch(config, backend), { signal })
  return facade(value, close, runner)
}

/**
 * Launches a machine and greets its agent, as `Sandbox.launch` does. An aborted or failed launch leaves nothing behind.
 *
 * @category constructors
 */
export const sandbox = async (config: VmConfig, { backend, signal }: LaunchOptions = {}): Promise<Sandbox> => {
  const runner = await Session.runner()
  const { close, value } = await runner.run(Session.sandbox(config, backend), { signal })
  return { ...facade(value, close, runner), ...SandboxFacade.make(value, runner) }
}

/**
 * Makes a pool of machines; the options are those of `VmPool.make`, with promises.
 *
 * @category constructors
 */
export const pool = async ({ backend, ready, reset, ...options }: PoolOptions): Promise<Pool> => {
  const runner = await Session.runner()
  const { run } = runner
  const asked = (question: PoolOptions["ready"]) =>
    question &&
    ((vm: Machine) =>
      Effect.tryPromise({
        try: (signal) => question(facade(vm, vm.kill, runner), { signal }),
        catch: (reason) => reason
      }))
  const opened = await run(Session.pool({ ...options, ready: asked(ready), reset: asked(reset) }, backend))
  const close = () => run(opened.close)
  return {
    acquire: async (options) => {
      const { close, value } = await run(Session.acquire(opened), options)
      return facade(value, close, runner)
    },
    tryAcquire: async (options) => {
      const { close, value } = await run(Session.tryAcquire(opened), options)
      return Option.isSome(value) ? facade(value.value, close, runner) : undefined
    },
    stats: () => run(opened.value.stats),
    close,
    [Symbol.asyncDispose]: close
  }
}

const facade = (vm: Machine, close: Effect.Effect<unknown>, runner: Session.Runner): Vm => {
  const { iterate, run } = runner
  const { console } = vm
  const closed = async () => void (await run(close))
  return {
    id: vm.id,
    name: vm.name,
    config: vm.config,
    backend: vm.backend,
    console: {
      output: iterate(console.output),
      chunks: iterate(console.chunks),
      chunksFrom: (position) => iterate(console.chunksFrom(position)),
      history: () => run(console.history),
      lost: () => run(console.lost),
      write: (data, options) => run(console.write(data), options),
      writeLine: (text, options) => run(console.writeLine(text), options),
      expect: (patterns, options) => run(console.expect(patterns, options), options),
      run: (command, options) => run(console.run(command, options), options),
      login: (options) => run(console.login(options), options),
      interrupt: (options) => run(console.interrupt, options),
      eof: (options) => run(console.eof, options)
    },
    vsock: VsockFacade.make(vm.vsock, runner),
    status: () => run(vm.status),
    statusChanges: iterate(vm.statusChanges),
    stages: () => run(vm.stages),
    stageChanges: iterate(vm.stageChanges),
    stop: (options) => run(vm.stop(options), options),
    kill: (options) => run(vm.kill, options),
    wait: (options) => run(vm.wait, options),
    pause: (options) => run(vm.pause, options),
    resume: (options) => run(vm.resume, options),
    stats: () => run(vm.stats),
    network: {
      explain: (flow, options) => run(vm.network.explain(flow), options),
      setPolicy: (policy, options) => run(vm.network.setPolicy(policy), options),
      log: iterate(vm.network.log)
    },
    close: closed,
    [Symbol.asyncDispose]: closed
  }
}
