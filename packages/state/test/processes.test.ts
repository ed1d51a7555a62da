import { describe, expect } from "bun:test"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { find, fromPs, kill, lineage, ofMachine } from "../src/internal/processes.ts"

const child = (...argv: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => Bun.spawn([...argv], { stdin: "pipe" })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const noPs = Bun.which("ps") === null ? " — skipped: this host has no ps" : ""

describe("a process", () => {
  live("is found by its number, with its arguments", () =>
    Effect.gen(function* () {
      const { pid } = yield* child("/bin/sleep", "600")
      // Between its birth and the start of its program a process has no arguments.
      const found = yield* Effect.repeat(find(pid), { until: Option.exists(({ argv }) => argv.length > 0) })
      expect(Option.getOrThrow(found)).toMatchObject({ pid, argv: ["/bin/sleep", "600"] })
    })
  )

  live("that has ended is not found, reaped or not", () =>
    Effect.gen(function* () {
      const parent = yield* child("/bin/sh", "-c", "sleep 0 & echo $!; exec sleep 600")
      const reader = parent.stdout.getReader()
      const pid = Number(new TextDecoder().decode((yield* Effect.promise(() => reader.read())).value))
      // Its parent has become another program, which never reaps it.
      yield* Effect.repeat(find(pid), { until: Option.isNone })
      expect(yield* kill({ pid, started: "1" })).toBe(true)
    })
  )

  live("is killed, and gone then", () =>
    Effect.gen(function* () {
      const { exited, pid } = yield* child("/bin/sleep", "600")
      expect(yield* kill(Option.getOrThrow(yield* find(pid)))).toBe(true)
      expect(yield* find(pid)).toEqual(Option.none())
      yield* Effect.promise(() => exited)
    })
  )

  live("is not killed in the place of another that had its number", () =>
    Effect.gen(function* () {
      const { pid } = yield* child("/bin/sleep", "600")
      expect(yield* kill({ pid, started: "another time" })).toBe(true)
      expect(Option.isSome(yield* find(pid))).toBe(true)
    })
  )

  live("is a machine's by the argument for its id, not by any other mention of that", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const script = "read line"
      const machine = yield* child("/bin/sh", "-c", script, "qemu", "-uuid", id)
      yield* child("/bin/sh", "-c", script, id)
      yield* child("/bin/sh", "-c", script, "-uuid", `x${id}`)
      expect((yield* ofMachine(id)).map(({ pid }) => pid)).toEqual([machine.pid])
    })
  )

  live("has a lineage from itself to the first", () =>
    Effect.gen(function* () {
      const { pid } = yield* child("/bin/sleep", "600")
      const above = yield* lineage(pid)
      expect(above.slice(0, 3)).toEqual([pid, process.pid, process.ppid])
    })
  )

  live.skipIf(noPs !== "")(`is told by ps as well${noPs}`, () =>
    Effect.gen(function* () {
      const { pid } = yield* child("/bin/sleep", "600")
      const [found, ...others] = yield* fromPs(["-p", String(pid)])
      expect(found).toMatchObject({ pid, argv: ["/bin/sleep", "600"] })
      expect(others).toEqual([])
      expect((yield* fromPs(["-A"])).find((other) => other.pid === pid)).toEqual(found)
    })
  )
})
