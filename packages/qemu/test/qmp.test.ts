import { describe, expect } from "bun:test"
import * as net from "node:net"
import { join } from "node:path"
import { effect, live } from "@capsa/testing"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunFileSystem from "@effect/platform-bun/BunFileSystem"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { fromSocket } from "../src/internal/connection.ts"
import * as Qmp from "../src/internal/qmp.ts"
import type { Event } from "../src/internal/qmpMessage.ts"

const greeting =
  '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}'

const Command = Schema.parseJson(Schema.Struct({ execute: Schema.String, id: Schema.Int }))

/** A client, and the server's side of its connection: a script of its own for each test. */
const connected = Effect.gen(function* () {
  const fileSystem = yield* FileSystem.FileSystem
  const path = join(yield* fileSystem.makeTempDirectoryScoped(), "qmp")
  const commands = yield* Queue.unbounded<typeof Command.Type>()
  const accepted = yield* Deferred.make<net.Socket>()
  yield* Effect.acquireRelease(
    Effect.async<net.Server>((resume) => {
      const server = net.createServer((socket) => {
        socket.on("data", (data) => {
          for (const line of data.toString().trim().split("\n")) {
            commands.unsafeOffer(Schema.decodeSync(Command)(line))
          }
        })
        socket.on("error", () => {})
        Deferred.unsafeDone(accepted, Effect.succeed(socket))
      })
      server.listen(path, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  const connection = yield* fromSocket(() => net.connect(path))
  const events = yield* Queue.unbounded<Event>()
  const qmp: Qmp.Qmp = yield* Qmp.make(connection, (event) => Effect.asVoid(Queue.offer(events, event)))
  const socket = yield* Deferred.await(accepted)
  yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
  const say = (text: string) => Effect.async<void>((resume) => void socket.write(text, () => resume(Effect.void)))
  const hangUp = Effect.sync(() => socket.destroy())
  return { qmp, events, commands, say, hangUp }
}).pipe(Effect.provide(BunFileSystem.layer))

const ask = ({ execute }: Qmp.Qmp, command: string) => Effect.fork(execute(command, Schema.Unknown))

describe("a talk", () => {
  live("begins with the greeting", () =>
    Effect.gen(function* () {
      const { qmp, say } = yield* connected
      yield* say(`${greeting}\r\n`)
      expect((yield* qmp.greeting).QMP.version.qemu).toEqual({ major: 7, minor: 2, micro: 0 })
    })
  )

  live("carries commands at the same time, answered in any order", () =>
    Effect.gen(function* () {
      const { commands, qmp, say } = yield* connected
      const one = yield* ask(qmp, "one")
      const two = yield* ask(qmp, "two")
      const [first, second] = yield* Effect.all([Queue.take(commands), Queue.take(commands)])
      expect([first.execute, second.execute]).toEqual(["one", "two"])
      yield* say(`{"return": 2, "id": ${second.id}}\n{"return": 1, "id": ${first.id}}\n`)
      expect(yield* Fiber.join(one)).toBe(1)
      expect(yield* Fiber.join(two)).toBe(2)
    })
  )

  live("survives a server that speaks byte by byte", () =>
    Effect.gen(function* () {
      const { commands, events, qmp, say } = yield* connected
      const answer = yield* ask(qmp, "query-status")
      const { id } = yield* Queue.take(commands)
      const text = `{"event": "STOP"}\r\n{"return": {"status": "paused"}, "id": ${id}}\r\n`
      yield* Effect.forEach(text, say)
      expect(yield* Fiber.join(answer)).toEqual({ status: "paused" })
      expect(yield* Queue.take(events)).toEqual({ event: "STOP" })
    })
  )

  live("tells events before the answer that follows them", () =>
    Effect.gen(function* () {
      const { commands, events, qmp, say } = yield* connected
      const answer = yield* ask(qmp, "stop")
      const { id } = yield* Queue.take(commands)
      yield* say(`{"event": "STOP"}\n{"event": "OTHER"}\n{"return": {}, "id": ${id}}\n`)
      yield* Fiber.join(answer)
      expect(Array.from(yield* Queue.takeAll(events))).toEqual([{ event: "STOP" }, { event: "OTHER" }])
    })
  )

  live("goes on after a refusal", () =>
    Effect.gen(function* () {
      const { commands, qmp, say } = yield* connected
      const refused = yield* ask(qmp, "fly")
      const { id } = yield* Queue.take(commands)
      yield* say(`{"id": ${id}, "error": {"class": "CommandNotFound", "desc": "no wings"}}\n`)
      expect(yield* Effect.flip(Fiber.join(refused))).toMatchObject({
        reason: "Refused",
        detail: "QEMU refused: no wings (CommandNotFound)"
      })
      const walked = yield* ask(qmp, "walk")
      yield* say(`{"return": {}, "id": ${(yield* Queue.take(commands)).id}}\n`)
      expect(yield* Fiber.join(walked)).toEqual({})
    })
  )

  live("does not take a result of another form", () =>
    Effect.gen(function* () {
      const { commands, qmp, say } = yield* connected
      const status = yield* Effect.fork(qmp.execute("query-status", Schema.Struct({ status: Schema.String })))
      yield* say(`{"return": {"status": 7}, "id": ${(yield* Queue.take(commands)).id}}\n`)
      expect(yield* Effect.flip(Fiber.join(status))).toMatchObject({ reason: "Garbage" })
    })
  )

  effect("does not wait for ever, and takes no late answer for another's", () =>
    Effect.gen(function* () {
      const { commands, qmp, say } = yield* connected
      const slow = yield* ask(qmp, "slow")
      const { id } = yield* Queue.take(commands)
      yield* TestClock.adjust("30 seconds")
      expect(yield* Effect.flip(Fiber.join(slow))).toMatchObject({ reason: "Timeout" })
      const next = yield* ask(qmp, "next")
      const { id: nextId } = yield* Queue.take(commands)
      yield* say(`{"return": "late", "id": ${id}}\n{"return": "in time", "id": ${nextId}}\n`)
      expect(yield* Fiber.join(next)).toBe("in time")
    })
  )
})

describe("a talk is over", () => {
  for (const [what, text] of [
    ["text", "QEMU says hello\n"],
    ["JSON of no kind", '{"hello": true}\n'],
    ["no UTF-8", "\u0000\u0001\n"],
    ["a line without end", "x".repeat(1024 * 1024 + 1)]
  ] as const) {
    live(`with ${what}, for all who wait and all who come later`, () =>
      Effect.gen(function* () {
        const { commands, qmp, say } = yield* connected
        const waiting = yield* Effect.all([ask(qmp, "one"), ask(qmp, "two")])
        yield* Queue.take(commands)
        yield* Effect.fork(say(text))
        expect(yield* qmp.ended).toMatchObject({ reason: "Garbage" })
        for (const fiber of waiting) {
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ reason: "Garbage" })
        }
        expect(yield* Effect.flip(qmp.execute("three", Schema.Unknown))).toMatchObject({ reason: "Garbage" })
        expect(yield* Effect.flip(qmp.greeting)).toMatchObject({ reason: "Garbage" })
      })
    )
  }

  live("when the server hangs up, also in the middle of a line", () =>
    Effect.gen(function* () {
      const { commands, hangUp, qmp, say } = yield* connected
      const waiting = yield* ask(qmp, "one")
      yield* Queue.take(commands)
      yield* say('{"return": ')
      yield* hangUp
      expect(yield* Effect.flip(Fiber.join(waiting))).toMatchObject({ reason: "Closed" })
      expect(yield* qmp.ended).toMatchObject({ reason: "Closed" })
      expect(yield* Effect.flip(qmp.execute("two", Schema.Unknown))).toMatchObject({ reason: "Closed" })
    })
  )
})
