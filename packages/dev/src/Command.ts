/**
 * Programs that the scripts run.
 *
 * @since 0.1.0
 */
import { root } from "./Folders.ts"

export interface RunOptions {
  /** The root of the checkout if absent. */
  readonly cwd?: string
  /** Added to the environment. */
  readonly env?: Record<string, string>
  /**
   * After so long the program ends, with all that it started in its process group; all of it also ends when this
   * process is told to end. If absent it may take for ever, and keeps the terminal.
   */
  readonly timeoutMs?: number
  /** Receives each line of stdout and stderr as it comes, without its line end. */
  readonly onLine?: (line: string) => void
}

export interface Finished {
  /** 127 when the program is not there, 128 and the signal's number when a signal ended it. */
  readonly exitCode: number
  readonly stdout: string
  /** stdout and stderr, line by line as they came. */
  readonly output: string
}

/** Runs a program to its end. Never rejects because of what the program does. */
export const run = async (argv: ReadonlyArray<string>, options: RunOptions = {}): Promise<Finished> => {
  const program = Bun.which(argv[0] ?? "", { cwd: options.cwd ?? root })
  if (program === null) return { exitCode: 127, stdout: "", output: `${argv[0]}: command not found\n` }
  const child = Bun.spawn([program, ...argv.slice(1)], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: options.timeoutMs !== undefined
  })
  const release = options.timeoutMs === undefined ? () => {} : endInTime(child.pid, options.timeoutMs)
  let stdout = ""
  let output = ""
  const take = (line: string) => {
    output += `${line}\n`
    options.onLine?.(line)
  }
  const [exitCode] = await Promise.all([
    child.exited,
    eachLine(child.stdout, (line) => {
      stdout += `${line}\n`
      take(line)
    }),
    eachLine(child.stderr, take)
  ])
  release()
  return { exitCode, stdout, output }
}

/** How long a program has to end itself before it is killed. */
const graceMs = 10_000

/** Leaders of the process groups that end with this process. */
const leaders = new Set<number>()
const endings = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Ends the process group that `leader` leads when it is late or when this process is told to end, until released. */
const endInTime = (leader: number, timeoutMs: number): (() => void) => {
  if (leaders.size === 0) for (const signal of endings) process.on(signal, endAll)
  leaders.add(leader)
  const late = setTimeout(signalGroup, timeoutMs, leader, "SIGTERM")
  const dead = setTimeout(signalGroup, timeoutMs + graceMs, leader, "SIGKILL")
  return () => {
    clearTimeout(late)
    clearTimeout(dead)
    leaders.delete(leader)
    if (leaders.size === 0) for (const signal of endings) process.off(signal, endAll)
  }
}

const endAll = (signal: NodeJS.Signals): void => {
  for (const leader of leaders) signalGroup(leader, signal)
  process.exit(130)
}

const signalGroup = (leader: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-leader, signal)
  } catch {
    // All of it has ended by itself.
  }
}

const eachLine = async (stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> => {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    lines.forEach(take)
  }
  if (rest !== "") take(rest)
}
