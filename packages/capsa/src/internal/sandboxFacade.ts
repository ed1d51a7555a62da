/** A sandbox's agent for scripts. */
import * as Stream from "effect/Stream"
import type * as Script from "../promise.ts"
import type * as Sandbox from "../Sandbox.ts"
import * as Session from "./session.ts"

/** What a script's own source throws is thrown at the script again. */
const sourceOf = (data: Script.InputSource): Sandbox.InputSource =>
  typeof data === "string" || data instanceof Uint8Array
    ? data
    : Stream.orDie(Stream.fromAsyncIterable(data, (cause) => cause))

export const make = (
  { copyIn, copyOut, exec, files, health, info, shutdown, spawn }: Sandbox.Sandbox,
  runner: Session.Runner
): Omit<Script.Sandbox, keyof Script.Vm> => {
  const { run } = runner
  return {
    exec: (command, { signal, stdin, ...options } = {}) =>
      run(exec(command, stdin === undefined ? options : { ...options, stdin: sourceOf(stdin) }), { signal }),
    spawn: async (command, options) => processOf(await run(Session.own(spawn(command, options)), options), runner),
    files: filesOf(files, runner),
    copyIn: (host, guest, options) => run(copyIn(host, guest, options), options),
    copyOut: (guest, host, options) => run(copyOut(guest, host, options), options),
    info: (options) => run(info, options),
    health: (options) => run(health, options),
    shutdown: (options) => run(shutdown(options), options)
  }
}

const processOf = (
  { close, value: process }: Session.Opened<Sandbox.SandboxProcess>,
  { iterate, run }: Session.Runner
): Script.SandboxProcess => {
  const closed = () => run(close)
  return {
    pid: process.pid,
    stdout: iterate(process.stdout),
    stderr: iterate(process.stderr),
    write: (data, options) => run(process.stdin.write(data), options),
    end: (options) => run(process.stdin.end, options),
    exit: (options) => run(process.exit, options),
    kill: (options) => run(process.kill(options)),
    resize: (size) => run(process.resize(size)),
    close: closed,
    [Symbol.asyncDispose]: closed
  }
}

const filesOf = (files: Sandbox.SandboxFiles, { iterate, run }: Session.Runner): Script.SandboxFiles => ({
  read: (path, options) => run(files.read(path, options), options),
  readText: (path, options) => run(files.readText(path, options), options),
  stream: (path, options) => iterate(files.stream(path, options)),
  write: (path, data, options) => run(files.write(path, sourceOf(data), options), options),
  list: (path, options) => run(files.list(path, options), options),
  stat: (path, options) => run(files.stat(path, options), options),
  exists: (path, options) => run(files.exists(path, options), options),
  mkdir: (path, options) => run(files.mkdir(path, options), options),
  remove: (path, options) => run(files.remove(path, options), options),
  rename: (from, to, options) => run(files.rename(from, to, options), options)
})
