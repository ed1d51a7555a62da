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
  /** After so long it is sent SIGTERM; never if absent. */
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
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs })
  })
  let stdout = ""
  let output = ""
  const take = (line: string) => {
    output += `${line}\n`
    options.onLine?.(line)
  }
  await Promise.all([
    eachLine(child.stdout, (line) => {
      stdout += `${line}\n`
      take(line)
    }),
    eachLine(child.stderr, take)
  ])
  return { exitCode: await child.exited, stdout, output }
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
