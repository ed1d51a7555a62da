/** Runs the program as its users do: another process, its streams connected. */
import { join } from "node:path"

const main = join(import.meta.dir, "../src/main.ts")

/** The command line of the program. */
export const argv = (...words: ReadonlyArray<string>): Array<string> => [process.execPath, main, ...words]

export interface Finished {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs it to its end; standard input is `input` and then closed. */
export const capsa = async (
  words: ReadonlyArray<string>,
  input = "",
  env: Record<string, string> = {}
): Promise<Finished> => {
  const options = {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...Bun.env, CAPSA_BACKEND: "auto", ...env }
  } as const
  const child = Bun.spawn(argv(...words), options)
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { status, stdout, stderr }
}

/** The lines of stderr that are no log. */
export const told = ({ stderr }: Finished): ReadonlyArray<string> =>
  stderr.split("\n").filter((line) => line !== "" && !line.startsWith("timestamp="))
