/**
 * `bun packages/guest/src/main.ts build [agent|debian|tiny|toolbox|uefi|systemd|all] [--arch x86_64|arm64] [--update] [--json]`:
 * builds images and prints their paths. The architecture is this host's unless another is named; `uefi` and `systemd` are for x86_64.
 *
 * `--update` asks what the distribution offers now; otherwise what was built once stays.
 */
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Architecture from "./Architecture.ts"
import { type BuildContext, Updating } from "./Cache.ts"
import * as GuestAgent from "./GuestAgent.ts"
import type { GuestError } from "./GuestError.ts"
import * as GuestImages from "./GuestImages.ts"
import * as StatusLine from "./StatusLine.ts"

const usage =
  "usage: bun packages/guest/src/main.ts build [agent|debian|tiny|toolbox|uefi|systemd|all] [--arch x86_64|arm64] [--update] [--json]\n"

const print = (to: NodeJS.WriteStream, text: string) => Effect.sync(() => void to.write(text))

const exitWith = (status: number) =>
  Effect.sync(() => {
    process.exitCode = status
  })

const agent = Effect.map(GuestAgent.agent, ({ program }) => ({ agent: { program } }))

const selections: Record<
  "agent" | "debian" | "tiny" | "toolbox" | "uefi" | "systemd" | "all",
  Effect.Effect<Record<string, Record<string, string>>, GuestError, BuildContext>
> = {
  agent,
  debian: Effect.all({ debian: GuestImages.debian }),
  tiny: Effect.all({ tiny: GuestImages.tinyOfTarget }),
  toolbox: Effect.all({ toolbox: GuestImages.toolbox }),
  uefi: Effect.all({ uefi: GuestImages.uefi }),
  systemd: Effect.all({ systemd: GuestImages.systemd }),
  all: Effect.flatMap(Architecture.Target, (target) =>
    Effect.all({
      debian: GuestImages.debian,
      tiny: GuestImages.tinyOfTarget,
      toolbox: GuestImages.toolbox,
      ...(target === "x86_64" && { uefi: GuestImages.uefi, systemd: GuestImages.systemd })
    })
  )
}

const isSelection = (name: string): name is keyof typeof selections => Object.hasOwn(selections, name)

const isArchitecture = (name: string): name is Architecture.Architecture => Object.hasOwn(Architecture.debianName, name)

const table = (images: Record<string, Record<string, string>>) =>
  Object.entries(images)
    .flatMap(([image, paths]) => Object.entries(paths).map(([name, value]) => `${image}.${name} ${value}\n`))
    .join("")

const report = (error: GuestError) =>
  print(process.stderr, `${error.message}\n${error.hint}\n${error.cause === undefined ? "" : `${error.cause}\n`}`).pipe(
    Effect.zipRight(exitWith(1))
  )

const program = Effect.gen(function* () {
  const options = new Set(["--json", "--update"])
  const words = process.argv.slice(2).filter((word) => !options.has(word))
  const place = words.indexOf("--arch")
  const [, target = Architecture.host] = place < 0 ? [] : words.splice(place, 2)
  const [verb, selection = "all", ...rest] = words
  if (verb !== "build" || !isSelection(selection) || !isArchitecture(target) || rest.length > 0) {
    return yield* Effect.zipRight(print(process.stderr, usage), exitWith(2))
  }
  const images = yield* selections[selection].pipe(
    Effect.provideService(Architecture.Target, target),
    Effect.provideService(Updating, process.argv.includes("--update")),
    Effect.provide(StatusLine.layer)
  )
  const json = process.argv.includes("--json")
  yield* print(process.stdout, json ? `${JSON.stringify(images)}\n` : table(images))
}).pipe(Effect.catchTag("GuestError", report))

BunRuntime.runMain(Effect.provide(program, BunContext.layer), {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
