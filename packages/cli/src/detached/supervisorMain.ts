/** The process that holds a detached machine: an {@link Order} on its standard input, {@link News} on its output. */
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Log from "../Log.ts"
import * as Stdio from "../Stdio.ts"
import { News, Order } from "./Handover.ts"
import { supervise } from "./Supervisor.ts"

const program = Effect.gen(function* () {
  const { stdout } = yield* Stdio.Stdio
  const order = yield* Effect.promise(() => Bun.stdin.text())
  /** A launcher that has left hears no more. */
  const tell = (news: News) =>
    Effect.orDie(Schema.encode(News)(news)).pipe(Effect.flatMap((line) => Effect.ignore(stdout.write(`${line}\n`))))
  yield* Schema.decode(Order)(order).pipe(
    Effect.orDie,
    Effect.flatMap((order) => supervise(order, tell)),
    Effect.catchAll((error) => tell({ _tag: "Failed", error }))
  )
})

BunRuntime.runMain(Effect.provide(program, Layer.merge(BunContext.layer, Layer.provideMerge(Log.layer, Stdio.layer))), {
  disableErrorReporting: true,
  disablePrettyLogger: true
})
