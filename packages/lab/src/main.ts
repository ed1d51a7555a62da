/** `bun run lab [--icount] [--memory MIB] [--cpus N] [--mount HOST:GUEST]… -- CMD ARGS…` */
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

const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && /^(CAPSA_.*|CI|PATH|HOME)$/.test(name) ? [[name, value]] : []
  )
)

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
  const run = yield* Lab.runInLab({ ...parsed.right, workingFolder: repository, environment, output: "inherit" }).pipe(
    Effect.tap((run) => run.started),
    Effect.provide(StatusLine.layer)
  )
  yield* Effect.flatMap(run.exitCode, exitWith)
}).pipe(Effect.scoped, Effect.catchTag("LabError", report))

BunRuntime.runMain(Effect.provide(program, BunContext.layer), {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
