/** A test matrix: each check in a fresh machine of each size, two machines at a time, and a table of what came out. */
import { Backend, Sandbox } from "capsa"
import * as Effect from "effect/Effect"

const sizes = {
  small: { cpus: 1, memory: "256MiB" },
  large: { cpus: 2, memory: "768MiB" }
} as const

const checks = {
  "has two processors": 'test "$(nproc)" -ge 2',
  "has room for 200 MiB": "dd if=/dev/zero of=/tmp/large bs=1M count=200"
}

const cells = Object.entries(checks).flatMap(([check, script]) =>
  Object.entries(sizes).map(([size, machine]) => ({ check, script, size, machine }))
)

const results = Effect.forEach(
  cells,
  ({ check, machine, script, size }) =>
    Sandbox.launch({ ...machine, readyTimeout: "10 minutes" }).pipe(
      Effect.flatMap((sandbox) => sandbox.exec(script, { timeLimit: "10 minutes" })),
      Effect.map(({ exitCode }) => ({ check, size, passed: exitCode === 0 })),
      Effect.scoped
    ),
  { concurrency: 2 }
)

const all = await Effect.runPromise(Effect.provide(results, Backend.auto))

const row = (cells: ReadonlyArray<string>) => `| ${cells.map((cell) => cell.padEnd(20)).join(" | ")} |\n`
const table = Object.keys(checks).map((name) =>
  row([name, ...all.filter(({ check }) => check === name).map(({ passed }) => (passed ? "passed" : "failed"))])
)
await Bun.write(Bun.stdout, row(["", ...Object.keys(sizes)]) + table.join(""))
