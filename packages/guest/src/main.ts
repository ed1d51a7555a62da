/**
 * `bun packages/guest/src/main.ts build [agent|debian|tiny|toolbox|all] [--update] [--json]`: builds images and prints their paths.
 *
 * `--update` asks what the distribution offers now; otherwise what was built once stays.
 *
 * `bun packages/guest/src/main.ts info [--json]`: what the built images are, and their sizes in bytes.
 */
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type BuildContext, Updating } from "./Cache.ts"
import * as GuestAgent from "./GuestAgent.ts"
import type { GuestError } from "./GuestError.ts"
import * as GuestImages from "./GuestImages.ts"
import * as GuestInfo from "./GuestInfo.ts"
import * as StatusLine from "./StatusLine.ts"

const usage = `usage: bun packages/guest/src/main.ts build [agent|debian|tiny|toolbox|all] [--update] [--json]
       bun packages/guest/src/main.ts info [--json]
`

const print = (to: NodeJS.WriteStream, text: string) => Effect.sync(() => void to.write(text))

const exitWith = (status: number) =>
  Effect.sync(() => {
    process.exitCode = status
  })

const agent = Effect.map(GuestAgent.agent, ({ program }) => ({ agent: { program } }))

const selections: Record<
  "agent" | "debian" | "tiny" | "toolbox" | "all",
  Effect.Effect<Record<string, Record<string, string>>, GuestError, BuildContext>
> = {
  agent,
  debian: Effect.all({ debian: GuestImages.debian }),
  tiny: Effect.all({ tiny: GuestImages.tiny }),
  toolbox: Effect.all({ toolbox: GuestImages.toolbox }),
  all: Effect.all({ debian: GuestImages.debian, tiny: GuestImages.tiny, toolbox: GuestImages.toolbox })
}

const isSelection = (name: string): name is keyof typeof selections => Object.hasOwn(selections, name)

/** A line for each text and number, under its path. */
const lines = (value: unknown, name = ""): string =>
  typeof value === "object" && value !== null
    ? Object.entries(value)
        .map(([key, part]) => lines(part, name === "" ? key : `${name}.${key}`))
        .join("")
    : `${name} ${value}\n`

const report = (error: GuestError) =>
  print(process.stderr, `${error.message}\n${error.hint}\n${error.cause === undefined ? "" : `${error.cause}\n`}`).pipe(
    Effect.zipRight(exitWith(1))
  )

const options: ReadonlySet<string> = new Set(["--json", "--update"])

/** What the words ask for. */
const wanted = (words: ReadonlyArray<string>): Effect.Effect<unknown, GuestError, BuildContext> | undefined => {
  const [verb, selection = "all", ...rest] = words
  if (verb === "info" && words.length === 1) return GuestInfo.info
  return verb === "build" && isSelection(selection) && rest.length === 0 ? selections[selection] : undefined
}

const program = Effect.gen(function* () {
  const answer = wanted(process.argv.slice(2).filter((word) => !options.has(word)))
  if (answer === undefined) return yield* Effect.zipRight(print(process.stderr, usage), exitWith(2))
  const result = yield* answer.pipe(
    Effect.provideService(Updating, process.argv.includes("--update")),
    Effect.provide(StatusLine.layer)
  )
  const json = process.argv.includes("--json")
  yield* print(process.stdout, json ? `${JSON.stringify(result)}\n` : lines(result))
}).pipe(Effect.catchTag("GuestError", report))

BunRuntime.runMain(Effect.provide(program, BunContext.layer), {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
