/** `bun run lab [--arch ARCHITECTURE] [--icount] [--memory MIB] [--cpus N] [--mount HOST:GUEST]… -- CMD ARGS…` */
import { type Architecture, host } from "@capsa/guest/Architecture"
import * as StatusLine from "@capsa/guest/StatusLine"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { parseArguments, usage } from "./internal/parseArguments.ts"
import * as Lab from "./Lab.ts"
import type { LabError } from "./LabError.ts"

const repository = Bun.fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "")

const own = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && /^(CAPSA_.*|CI|PATH|HOME)$/.test(name) ? [[name, value]] : []
  )
)

/** Programs of another architecture are in other places than the host's. */
const environmentFor = (architecture: Architecture) =>
  architecture === host
    ? own
    : {
        HOME: "/root",
        CAPSA_LIBRARY: `${repository}/native/build-aarch64/libcapsa.so`,
        ...own,
        PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
      }

const print = (text: string) => Effect.sync(() => void process.stderr.write(text))

const exitWith = (status: number) =>
  Effect.sync(() => {
    process.exitCode = status
  })

const report = (error: LabError) =>
  print(`${error.message}\n${error.hint}\n${error.cause === undefined ? "" : `${error.cause}\n`}`).pipe(
    Effect.zipRight(exitWith(1))
  )

const program = Effect.gen(function* () {
  const parsed = parseArguments(process.argv.slice(2))
  if (Either.isLeft(parsed)) return yield* Effect.zipRight(print(`${parsed.left}\n${usage}`), exitWith(2))
  const environment = environmentFor(parsed.right.architecture)
  const run = yield* Lab.runInLab({ ...parsed.right, workingFolder: repository, environment, output: "inherit" }).pipe(
    Effect.tap((run) => run.started),
    Effect.provide(StatusLine.layer)
  )
  yield* Effect.flatMap(run.exitCode, exitWith)
}).pipe(Effect.scoped, Effect.catchTag("LabError", report))

BunRuntime.runMain(Effect.provide(program, BunContext.layer), {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
