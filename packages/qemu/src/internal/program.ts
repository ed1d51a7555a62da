/** Finding QEMU and trying it out. */
import { BackendError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Host, trial } from "./arguments.ts"
import { backendError, debianPackage, programMissing, spawnFailed } from "./bootError.ts"
import * as Qmp from "./qmp.ts"
import type { Greeting } from "./qmpMessage.ts"
import { type Supervised, spawn } from "./supervised.ts"

/** Major and minor number of the oldest QEMU that is known to do all that is asked of it. */
const oldest = [7, 2] as const

const trialTimeout = "30 seconds"

/** The absolute path of a program on PATH, or of a path. */
export const find = (program: string): Effect.Effect<string, BackendError> =>
  Effect.suspend(() => {
    const path = Bun.which(program)
    return path === null ? Effect.fail(programMissing(program)) : Effect.succeed(path)
  })

/** Builds a machine with all devices, without a guest, and takes it down again. Succeeds with QEMU's version. */
export const tryOut = Effect.fnUntraced(function* (program: string, host: Host) {
  const process = yield* Effect.mapError(spawn([program, ...trial(host)], { connections: 1 }), spawnFailed)
  const [monitor] = process.connections
  if (monitor === undefined) return yield* Effect.dieMessage("QEMU was started without a monitor")
  const qmp = yield* Qmp.make(monitor, () => Effect.void)
  return yield* Effect.gen(function* () {
    const greeting = yield* qmp.greeting
    yield* qmp.execute("qmp_capabilities", Schema.Unknown)
    return greeting.QMP.version.qemu
  }).pipe(
    Effect.timeoutFail({ duration: trialTimeout, onTimeout: () => hung(program) }),
    Effect.catchTag("QmpError", (error) =>
      error.reason === "Closed" ? Effect.flatMap(lastWords(process), refused(program)) : unusable(program, error.detail)
    )
  )
}, Effect.scoped)

export type Version = Greeting["QMP"]["version"]["qemu"]

export const showVersion = ({ major, micro, minor }: Version): string => `${major}.${minor}.${micro}`

/** What `--version` says. A QEMU that is too old for {@link tryOut}'s arguments can still tell. */
export const version = Effect.fnUntraced(function* (program: string) {
  const text = yield* output([program, "--version"])
  const match = /QEMU emulator version (\d+)\.(\d+)\.(\d+)/.exec(text)
  if (match === null) return yield* unusable(program, `\`--version\` says ${JSON.stringify(text.slice(0, 80))}`)
  const found: Version = { major: Number(match[1]), minor: Number(match[2]), micro: Number(match[3]) }
  const isOld = found.major < oldest[0] || (found.major === oldest[0] && found.minor < oldest[1])
  return isOld ? yield* tooOld(program, found) : found
})

/** Accelerators that are compiled in; whether they work is another matter. */
export const accelerators = (program: string): Effect.Effect<ReadonlyArray<string>, BackendError> =>
  Effect.map(output([program, "-accel", "help"]), (text) => text.split("\n").filter((line) => /^\w+$/.test(line)))

const output = Effect.fnUntraced(function* (argv: ReadonlyArray<string>) {
  const process = yield* Effect.mapError(spawn(argv, { connections: 0 }), spawnFailed)
  return yield* Effect.timeoutFail(process.stdout, {
    duration: trialTimeout,
    onTimeout: () => hung(argv[0] ?? "")
  })
}, Effect.scoped)

const lastWords = (process: Supervised) =>
  Effect.zipRight(Effect.timeoutOption(process.exit, "1 second"), process.stderr)

const refused = (program: string) => (stderr: string) =>
  backendError(stderr) ?? unusable(program, stderr || "it said nothing")

const unusable = (program: string, what: string): BackendError =>
  new BackendError({
    reason: "ProgramUnusable",
    backend: "qemu",
    subject: program,
    operation: "-machine",
    detail: `QEMU cannot build a machine: ${what}`,
    hint: `Install a complete QEMU: \`sudo apt install ${debianPackage(program)}\` (with its firmware, qemu-system-data), \`brew install qemu\`.`
  })

const hung = (program: string): BackendError => unusable(program, `it did not answer within ${trialTimeout}`)

const tooOld = (program: string, found: Version): BackendError =>
  new BackendError({
    reason: "ProgramUnusable",
    backend: "qemu",
    subject: program,
    operation: "--version",
    detail: `QEMU ${showVersion(found)} is too old`,
    hint: `Install QEMU ${oldest.join(".")} or later: \`sudo apt install ${debianPackage(program)}\` on Debian 12, Ubuntu 24.04 and later; \`brew install qemu\`.`
  })
