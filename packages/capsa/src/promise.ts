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
  VmConfig,
  VmExit,
  VmStatus
} from "@capsa/core"
import type * as Layer from "effect/Layer"
import type {
  ConsoleChunk,
  ConsoleMatch,
  ExpectOptions,
  LoginOptions,
  Pattern,
  RunOptions,
  RunResult
} from "./Console.ts"
import * as Session from "./internal/session.ts"
import type { StopOptions, VmBackend } from "./Vm.ts"

export {
  BackendError,
  ConsoleError,
  MachineError,
  StateError,
  VmBootError,
  VmConfig,
  VmConfigError,
  type VmError,
  type VmExit,
  type VmStatus
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
  /** Kills the machine, if it runs, and gives back all that it holds. */
  close(): Promise<void>
}

/**
 * Launches a machine. An aborted or failed launch leaves nothing behind.
 *
 * @category constructors
 */
export const launch = async (config: VmConfig, options: LaunchOptions = {}): Promise<Vm> => {
  const { close, iterate, run, vm } = await Session.launch(config, options)
  const { console } = vm
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
    close: () => run(close),
    [Symbol.asyncDispose]: () => run(close)
  }
}
