/** `bun run bench [-- NAME…] [--json]`: runs the benchmarks and prints their figures. */
import * as BunContext from "@effect/platform-bun/BunContext"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Effect from "effect/Effect"
import * as boot from "./boot/boot.ts"
import * as console from "./console.ts"
import * as inprocess from "./inprocess.ts"
import * as lifecycle from "./lifecycle.ts"
import { net } from "./net/net.ts"
import { type Row, report, table } from "./report.ts"
import * as sandbox from "./sandbox/sandbox.ts"
import * as storage from "./storage/storage.ts"

const benchmarks = {
  boot: boot.rows,
  console: console.rows,
  disk: storage.disk,
  inprocess: inprocess.rows,
  lifecycle: lifecycle.rows,
  net,
  sandbox: sandbox.rows,
  share: storage.share
}

const isBenchmark = (name: string): name is keyof typeof benchmarks => Object.hasOwn(benchmarks, name)

const print = (to: NodeJS.WriteStream, text: string) => Effect.sync(() => void to.write(text))

const fail = Effect.sync(() => {
  process.exitCode = 2
})

const program = Effect.gen(function* () {
  const words = process.argv.slice(2).filter((word) => word !== "--json" && word !== "--")
  const unknown = words.filter((word) => !isBenchmark(word))
  if (unknown.length > 0) {
    const known = Object.keys(benchmarks).join(", ")
    return yield* Effect.zipRight(
      print(process.stderr, `no benchmark ${unknown.join(", ")}; there are ${known}\n`),
      fail
    )
  }
  const chosen = Object.keys(benchmarks)
    .filter(isBenchmark)
    .filter((name) => words.length === 0 || words.includes(name))
  const rows: Array<Row> = []
  for (const name of chosen) {
    yield* print(process.stderr, `${name} …\n`)
    rows.push(...(yield* benchmarks[name]))
  }
  const result = report(rows)
  yield* print(process.stdout, process.argv.includes("--json") ? `${JSON.stringify(result)}\n` : `${table(result)}\n`)
})

BunRuntime.runMain(Effect.provide(program, BunContext.layer))
