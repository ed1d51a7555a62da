import { type Architecture, host } from "@capsa/guest/Architecture"
import * as Either from "effect/Either"
import type { LabOptions, Mount } from "../Lab.ts"

export type Request = Pick<LabOptions, "command" | "memoryMib" | "cpus" | "icount" | "mounts"> &
  Required<Pick<LabOptions, "architecture" | "gic">> &
  Pick<LabOptions, "processor">

const hostName = host === "arm64" ? "aarch64" : "x86_64"

export const usage = `usage: bun run lab [options] -- CMD ARGS…
  --icount             one processor and virtual time that counts instructions
  --memory MIB         memory of the machine, in MiB (4096)
  --cpus N             processors (1)
  --mount HOST:GUEST   shows a folder of the host at another place, read-only
  --arch ARCHITECTURE  ${hostName === "aarch64" ? "" : "x86_64 or "}aarch64 (${hostName})
  --gic 2|3            version of the interrupt controller of aarch64 (3)
  --processor MODEL    of QEMU; cortex-a72 has no Virtualization Host Extensions
`

const architectures: Readonly<Record<string, Architecture>> = { [hostName]: host, aarch64: "arm64" }

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** What a command line of the lab asks for; Left says what is wrong with it. */
export const parseArguments = (words: ReadonlyArray<string>): Either.Either<Request, string> => {
  const mounts: Array<Mount> = []
  const request: Omit<Mutable<Request>, "command"> = {
    icount: false,
    memoryMib: 4096,
    cpus: 1,
    mounts,
    architecture: host,
    gic: 3
  }
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
    const architecture = architectures[value]
    const mount = /^([^:]+):([^:]+)$/.exec(value)
    if (option === "--memory" && number !== undefined) request.memoryMib = number
    else if (option === "--cpus" && number !== undefined) request.cpus = number
    else if (option === "--mount" && mount !== null) mounts.push({ host: mount[1] ?? "", guest: mount[2] ?? "" })
    else if (option === "--arch" && architecture !== undefined) request.architecture = architecture
    else if (option === "--processor" && value !== "") request.processor = value
    else if (option === "--gic" && (number === 2 || number === 3)) request.gic = number
    else return Either.left(`not understood: ${option} ${value}`)
  }
  const [program, ...args] = rest
  return program === undefined
    ? Either.left("no command given")
    : Either.right({ ...request, command: [program, ...args] })
}
