import { describe, expect } from "bun:test"
import { join } from "node:path"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { setprivPath, spawn } from "../src/internal/supervised.ts"
import { isAlive, openDescriptors, until } from "./fixtures/processes.ts"

const shell = (script: string, connections = 0) => spawn(["/bin/sh", "-c", script], { connections })

describe("a supervised process", () => {
  live("tells its status and what it wrote", () =>
    Effect.gen(function* () {
      const child = yield* shell("echo out; echo err >&2; exit 7")
      expect(yield* child.exit).toEqual({ code: 7, signal: undefined })
      expect(yield* child.stdout).toBe("out")
      expect(yield* child.stderr).toBe("err")
    })
  )

  live("is remembered by the end of what it wrote", () =>
    Effect.gen(function* () {
      const child = yield* shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; printf end >&2")
      const stderr = yield* child.stderr
      expect(stderr).toHaveLength(16 * 1024)
      expect(stderr).toEndWith("xend")
    })
  )

  live("writes no core file and opens a bounded number of files", () =>
    Effect.gen(function* () {
      const child = yield* shell("ulimit -c; ulimit -n; ulimit -Hn")
      const [core, ...files] = (yield* child.stdout).split("\n").map(Number)
      expect(core).toBe(0)
      expect(files).toHaveLength(2)
      for (const most of files) expect(most).toBeLessThanOrEqual(1024)
    })
  )

  live("is not started where its cgroup does not take it", () =>
    Effect.gen(function* () {
      const child = yield* spawn(["/bin/sh", "-c", "echo ran"], { connections: 0, cgroup: "/nonexistent" })
      expect(yield* child.exit).toEqual({ code: 126, signal: undefined })
      expect(yield* child.stdout).toBe("")
      expect(yield* child.stderr).toContain("/nonexistent/cgroup.procs")
    })
  )

  live("that is killed tells the signal", () =>
    Effect.gen(function* () {
      const child = yield* shell("exec sleep 600")
      yield* child.kill
      expect(yield* child.exit).toEqual({ code: null, signal: "SIGKILL" })
      yield* child.kill
    })
  )

  live("is gone when its scope is closed, also when it is stopped", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const child = yield* Scope.extend(shell("kill -STOP $$; exec sleep 600"), scope)
      yield* Scope.close(scope, Exit.void)
      expect(isAlive(child.pid)).toBe(false)
    })
  )

  live("leaves no descriptor behind", () =>
    Effect.gen(function* () {
      const round = Effect.scoped(
        Effect.gen(function* () {
          const child = yield* shell("exec sleep 600", 3)
          expect(child.connections).toHaveLength(3)
        })
      )
      yield* round
      const before = openDescriptors()
      yield* Effect.repeatN(round, 20)
      yield* until(() => openDescriptors() <= before)
    })
  )

  live.skipIf(setprivPath() === null)(
    `is gone soon after its parent was killed${setprivPath() === null ? " — skipped: this host has no setpriv" : ""}`,
    () =>
      Effect.gen(function* () {
        const launcher = yield* Effect.acquireRelease(
          Effect.sync(() =>
            Bun.spawn([process.execPath, join(import.meta.dir, "fixtures/launcher.ts"), "/bin/sleep", "600"])
          ),
          (launcher) => Effect.sync(() => launcher.kill("SIGKILL"))
        )
        const reader = launcher.stdout.getReader()
        const { value } = yield* Effect.promise(() => reader.read())
        const pid = Number(new TextDecoder().decode(value))
        yield* until(() => isAlive(pid))
        launcher.kill("SIGKILL")
        yield* until(() => !isAlive(pid))
      })
  )

  live("fails to start with the host's error", () =>
    Effect.gen(function* () {
      const child = yield* spawn(["/nonexistent/program"], { connections: 1 }).pipe(Effect.either)
      if (child._tag === "Left") return expect(child.left.errno).toBe("ENOENT")
      expect(yield* child.right.exit).toMatchObject({ code: 127 })
      // The shell's words: dash and bash have their own.
      expect(yield* child.right.stderr).toMatch(/\/nonexistent\/program: (not found|No such file or directory)/)
    })
  )
})

describe("a connection to it", () => {
  live("carries bytes both ways unchanged", () =>
    Effect.gen(function* () {
      const { connections } = yield* shell("cat <&3 >&3", 1)
      const [connection] = connections
      if (connection === undefined) throw new Error("no connection")
      const sent = crypto.getRandomValues(new Uint8Array(65_536))
      const rounds = 40
      const received = yield* Effect.fork(
        connection.bytes.pipe(
          Stream.mapConcat((chunk) => chunk),
          Stream.take(rounds * sent.byteLength),
          Stream.runFold(new Bun.SHA256(), (hash, byte) => hash.update(new Uint8Array([byte])))
        )
      )
      yield* Effect.repeatN(connection.write(sent), rounds - 1)
      const expected = new Bun.SHA256()
      for (let round = 0; round < rounds; round++) expected.update(sent)
      expect((yield* Fiber.join(received)).digest("hex")).toBe(expected.digest("hex"))
    })
  )

  live("ends when the process does, after its last byte", () =>
    Effect.gen(function* () {
      const { connections } = yield* shell("printf last >&3", 1)
      const bytes = yield* Effect.forEach(connections, ({ bytes }) => Stream.mkString(Stream.decodeText(bytes)))
      expect(bytes).toEqual(["last"])
      for (const { write } of connections) {
        expect(yield* Effect.flip(write(new Uint8Array(1)))).toMatchObject({ _tag: "ConnectionClosed" })
      }
    })
  )

  live("that nobody reads holds the writer back, here and there", () =>
    Effect.gen(function* () {
      const { connections, exit } = yield* shell("head -c 50000000 /dev/zero >&3; cat <&3 >/dev/null", 1)
      const [connection] = connections
      if (connection === undefined) throw new Error("no connection")
      const writing = yield* Effect.fork(connection.write(new Uint8Array(50_000_000)))
      expect(yield* Effect.timeoutOption(exit, "200 millis")).toMatchObject({ _tag: "None" })
      expect(yield* Fiber.poll(writing)).toMatchObject({ _tag: "None" })
      const size = connection.bytes.pipe(Stream.runFold(0, (size, chunk) => size + chunk.byteLength))
      const reading = yield* Effect.fork(size)
      yield* Fiber.join(writing)
      yield* Fiber.interrupt(reading)
    })
  )

  live("lets an interrupted write go", () =>
    Effect.gen(function* () {
      const { connections } = yield* shell("exec sleep 600", 1)
      for (const { write } of connections) {
        const big = new Uint8Array(10_000_000)
        expect(yield* Effect.timeoutOption(write(big), "50 millis")).toMatchObject({ _tag: "None" })
        expect(yield* Effect.timeoutOption(write(big), "50 millis")).toMatchObject({ _tag: "None" })
      }
    })
  )
})
