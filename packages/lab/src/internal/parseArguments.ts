import * as Either from "effect/Either"
import type { LabOptions, Mount } from "../Lab.ts"

export type Request = Pick<LabOptions, "command" | "memoryMib" | "cpus" | "icount" | "mounts">

export const usage = `usage: bun run lab [options] -- CMD ARGS…
  --icount             one processor and virtual time that counts instructions
  --memory MIB         memory of the machine, in MiB (4096)
  --cpus N             processors (1)
  --mount HOST:GUEST   shows a folder of the host at another place, read-only
  --arch x86_64        the only architecture so far
`

/** What a command line of the lab asks for; Left says what is wrong with it. */
export const parseArguments = (words: ReadonlyArray<string>): Either.Either<Request, string> => {
  const mounts: Array<Mount> = []
  const request = { icount: false, memoryMib: 4096, cpus: 1, mounts }
  const rest = [...words]
  while (rest[0]?.startsWith("--")) {
    const option = rest.shift()
    if (option === "--") break
    if (option === "--icount") {
      request.icount = true
      continue
    }
    const value = rest.shift() ?? ""
    const number = /^[1-9]\d*$/.test(value) ? Number(value) : undefined
    const mount = /^([^:]+):([^:]+)$/.exec(value)
    if (option === "--memory" && number !== undefined) request.memoryMib = number
    else if (option === "--cpus" && number !== undefined) request.cpus = number
    else if (option === "--mount" && mount !== null) mounts.push({ host: mount[1] ?? "", guest: mount[2] ?? "" })
    else if (option !== "--arch" || value !== "x86_64") return Either.left(`not understood: ${option} ${value}`)
  }
  const [program, ...args] = rest
  return program === undefined
    ? Either.left("no command given")
    : Either.right({ ...request, command: [program, ...args] })
}
