import { describe, expect, test } from "bun:test"
import { existsSync, writeFileSync } from "node:fs"
import type { Socket } from "node:net"
import { live, Simulated } from "@capsa/testing"
import type { Socket as EffectSocket } from "@effect/platform/Socket"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Vm from "../src/Vm.ts"
import * as Vsock from "../src/Vsock.ts"
import * as Peer from "./fixtures/vsockPeer.ts"

const echo = (socket: Socket) => void socket.pipe(socket)

const textOf = (pieces: Chunk.Chunk<Uint8Array>) => Buffer.concat(Chunk.toReadonlyArray(pieces)).toString()

const readAll = ({ readable }: Vsock.VsockConnection) => Effect.map(Stream.runCollect(readable), textOf)

/** A machine whose guest has these ports. */
const withPorts = (ports: Readonly<Record<number, Peer.AtPort>>) =>
  Effect.gen(function* () {
    const guest = yield* Peer.guest(ports)
    const vm = yield* Peer.launch(guest.path)
    return { guest, vm, vsock: vm.vsock }
  })

describe("connect", () => {
  live("talks to a port of the guest, both ways", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({ 7: echo })
      const connection = yield* vsock.connect(7)
      expect(connection.port).toBe(7)
      yield* connection.write("hello, ")
      yield* connection.write(new TextEncoder().encode("guest"))
      yield* connection.end
      expect(yield* readAll(connection)).toBe("hello, guest")
    })
  )

  live("gets what the guest says in one breath with its answer", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({ 7: (socket) => void socket.end("at once") })
      expect(yield* readAll(yield* vsock.connect(7))).toBe("at once")
    })
  )

  live("hears the guest after it has ended itself, and the other way round", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({
        1: (socket) => void socket.on("end", () => socket.end("you have ended")).resume(),
        2: (socket) => void socket.end("I have ended").on("data", (data) => socket.emit("said", data.toString()))
      })
      const first = yield* vsock.connect(1)
      yield* first.end
      yield* first.end
      expect(yield* readAll(first)).toBe("you have ended")
      const second = yield* vsock.connect(2)
      expect(yield* readAll(second)).toBe("I have ended")
      yield* second.write("go on")
    })
  )

  live("a write waits while the guest does not read", () =>
    Effect.gen(function* () {
      const there = yield* Deferred.make<Socket>()
      const { vsock } = yield* withPorts({ 7: (socket) => Deferred.unsafeDone(there, Exit.succeed(socket.pause())) })
      const connection = yield* vsock.connect(7)
      const piece = new Uint8Array(64 * 1024)
      let written = 0
      const writer = yield* Effect.fork(
        Effect.forever(
          Effect.andThen(
            connection.write(piece),
            Effect.sync(() => (written += piece.length))
          )
        )
      )
      const stuck: Effect.Effect<number> = Effect.suspend(() => {
        const before = written
        return Effect.flatMap(Effect.sleep("100 millis"), () => (written === before ? Effect.succeed(written) : stuck))
      })
      expect(yield* stuck).toBeLessThan(2 ** 20)
      const socket = yield* Deferred.await(there)
      let got = 0
      socket.on("data", (data) => (got += data.length)).resume()
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => written > 2 ** 20 })
      yield* Fiber.interrupt(writer)
      expect(got).toBeGreaterThan(0)
    })
  )

  live("a guest waits while nobody reads", () =>
    Effect.gen(function* () {
      let isFull = false
      const { vsock } = yield* withPorts({
        7: (socket) => {
          const more = () => {
            while (socket.write(new Uint8Array(64 * 1024)));
            isFull = true
          }
          socket.on("drain", more)
          more()
        }
      })
      const connection = yield* vsock.connect(7)
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => isFull })
      const part = yield* Stream.runFoldWhile(
        connection.readable,
        0,
        (bytes) => bytes < 2 ** 22,
        (bytes, piece) => bytes + piece.length
      )
      expect(part).toBeGreaterThanOrEqual(2 ** 22)
    })
  )

  live("writers take turns", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({ 7: echo })
      const connection = yield* vsock.connect(7)
      const pieces = Array.from({ length: 20 }, (_, index) => new Uint8Array(300_000).fill(index))
      const reader = yield* Effect.fork(Stream.runCollect(connection.readable))
      yield* Effect.forEach(pieces, (piece) => connection.write(piece), { concurrency: "unbounded" })
      yield* connection.end
      const all = Buffer.concat(Chunk.toReadonlyArray(yield* Fiber.join(reader)))
      expect(all.length).toBe(20 * 300_000)
      for (let at = 0; at < all.length; at += 300_000) {
        const piece = all.subarray(at, at + 300_000)
        expect(piece.every((byte) => byte === piece[0])).toBe(true)
      }
    })
  )

  live("is refused where nobody listens, which may change", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({})
      const error = yield* Effect.flip(vsock.connect(99))
      expect(error).toMatchObject({ _tag: "VsockError", reason: "Refused", port: 99, retryable: true })
    })
  )

  live("gives up in time, and leaves nothing", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({ 7: "" })
      const error = yield* Effect.flip(vsock.connect(7, { timeout: "10 millis" }))
      expect(error).toMatchObject({ reason: "TimedOut", retryable: true })
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 0 })
    })
  )

  live("leaves nothing when it is interrupted", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({ 7: "" })
      const connecting = yield* Effect.fork(vsock.connect(7))
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 1 })
      yield* Fiber.interrupt(connecting)
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 0 })
    })
  )

  for (const [answer, reason] of [
    ["ERR ETIMEDOUT\n", "TimedOut"],
    ["ERR ECONNRESET\n", "Closed"],
    ["ERR EPROTO\n", "Closed"],
    ["what?\n", "Closed"],
    ["x".repeat(100), "HostFailure"]
  ] as const) {
    live(`tells ${answer.slice(0, 20).trim()} as ${reason}`, () =>
      Effect.gen(function* () {
        const { vsock } = yield* withPorts({ 7: answer })
        expect(yield* Effect.flip(vsock.connect(7))).toMatchObject({ reason, port: 7 })
      })
    )
  }

  live("tells the answer that came before it could ask", () =>
    Effect.gen(function* () {
      const { path } = yield* Peer.hasty("ERR ETIMEDOUT\n")
      const { vsock } = yield* Peer.launch(path)
      const failures = yield* Effect.replicateEffect(Effect.flip(Effect.scoped(vsock.connect(7))), 20, {
        concurrency: "unbounded"
      })
      for (const failure of failures) expect(failure).toMatchObject({ reason: "TimedOut", retryable: true })
    })
  )

  live("refuses what is no port", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({})
      for (const port of [-1, 1.5, 2 ** 32 - 1, Number.NaN]) {
        expect(yield* Effect.flip(vsock.connect(port))).toMatchObject({ reason: "Invalid", field: "port" })
      }
    })
  )

  live("is closed with its scope, and by itself", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({ 7: echo })
      const scope = yield* Scope.make()
      const connection = yield* Scope.extend(vsock.connect(7), scope)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.flip(connection.write("x"))).toMatchObject({ reason: "Closed" })
      expect(yield* Effect.flip(readAll(connection))).toMatchObject({ reason: "Closed" })
      const second = yield* vsock.connect(7)
      yield* second.close
      yield* second.close
      expect(yield* Effect.flip(second.write("x"))).toMatchObject({ reason: "Closed" })
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 0 })
    })
  )

  live("a writer and a reader that wait are told of its end", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({ 7: (socket) => void socket.pause() })
      const connection = yield* vsock.connect(7)
      const writer = yield* Effect.fork(Effect.flip(Effect.forever(connection.write(new Uint8Array(2 ** 20)))))
      const reader = yield* Effect.fork(Effect.flip(readAll(connection)))
      yield* Effect.sleep("20 millis")
      yield* connection.close
      expect(yield* Fiber.join(writer)).toMatchObject({ reason: "Closed" })
      expect(yield* Fiber.join(reader)).toMatchObject({ reason: "Closed" })
    })
  )

  live("a guest that breaks off is told to a reader once it has read what came", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({
        7: (socket) => {
          socket.pause()
          socket.write("half a sen", () => socket.destroy())
        }
      })
      const connection = yield* vsock.connect(7)
      // Not read by the guest: so its end is a reset.
      yield* Effect.exit(connection.write("unread"))
      const pieces: Array<Uint8Array> = []
      const end = yield* Effect.exit(
        Stream.runForEach(connection.readable, (piece) => Effect.sync(() => pieces.push(piece)))
      )
      expect(Buffer.concat(pieces).toString()).toBe("half a sen")
      if (Exit.isFailure(end)) expect(yield* Effect.flip(end)).toMatchObject({ reason: "Closed" })
      expect(yield* Effect.flip(Effect.forever(connection.write("x")))).toMatchObject({ reason: "Closed" })
    })
  )
})

describe("the end of the machine", () => {
  live("breaks connections off, and refuses new ones", () =>
    Effect.gen(function* () {
      const { guest, vm, vsock } = yield* withPorts({ 7: () => {} })
      const connection = yield* vsock.connect(7)
      const reader = yield* Effect.fork(Effect.flip(readAll(connection)))
      const heard = yield* Effect.fork(Stream.runCollect(vsock.listen(5)))
      yield* Effect.sleep("10 millis")
      yield* vm.kill
      yield* guest.end
      expect(yield* Fiber.join(reader)).toMatchObject({ reason: "Closed" })
      expect(yield* Fiber.join(heard)).toEqual(Chunk.empty())
      expect(yield* Effect.flip(vsock.connect(7))).toMatchObject({ reason: "NotRunning" })
      expect(yield* Effect.flip(Stream.runDrain(vsock.listen(5)))).toMatchObject({ reason: "NotRunning" })
      expect(yield* Effect.flip(vsock.pool({ port: 1, max: 1 }))).toMatchObject({ reason: "NotRunning" })
    })
  )

  live("is what somebody hears who still waits for an answer", () =>
    Effect.gen(function* () {
      const { guest, vm, vsock } = yield* withPorts({ 7: "" })
      const connecting = yield* Effect.fork(Effect.flip(vsock.connect(7)))
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 1 })
      yield* vm.kill
      yield* guest.end
      expect(yield* Fiber.join(connecting)).toMatchObject({ reason: "NotRunning" })
    })
  )

  live("does not spoil what had ended before it", () =>
    Effect.gen(function* () {
      const { guest, vm, vsock } = yield* withPorts({ 7: (socket) => void socket.end("all of it") })
      const connection = yield* vsock.connect(7)
      // The end has come when nothing can be written any more.
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => guest.sockets.size === 1 })
      yield* Effect.sleep("20 millis")
      yield* vm.kill
      yield* guest.end
      expect(yield* readAll(connection)).toBe("all of it")
    })
  )
})

test("a machine without vsock says so", () =>
  Effect.gen(function* () {
    const vm = yield* Vm.launch({})
    expect(vm.vsock.path).toBeUndefined()
    for (const refused of [
      vm.vsock.connect(1),
      Stream.runDrain(vm.vsock.listen(1)),
      vm.vsock.pool({ port: 1, max: 1 })
    ]) {
      expect(yield* Effect.flip(Effect.scoped<unknown, unknown, Scope.Scope>(refused))).toMatchObject({
        reason: "Unsupported"
      })
    }
  }).pipe(Effect.scoped, Effect.provide(Simulated.layer({ guest: () => Effect.never })), Effect.runPromise))

describe("listen", () => {
  live("gives the connections of the guest, and closes them with itself", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({})
      const served = yield* Effect.fork(
        vsock.listen(52).pipe(
          Stream.take(3),
          Stream.mapEffect(
            (connection) =>
              Effect.gen(function* () {
                expect(connection.port).toBe(52)
                yield* connection.write(yield* Stream.runHead(connection.readable).pipe(Effect.flatten))
                yield* connection.end
                yield* readAll(connection)
              }),
            { concurrency: "unbounded" }
          ),
          Stream.runDrain
        )
      )
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => existsSync(`${guest.path}_52`) })
      for (const word of ["one", "two", "three"]) {
        const socket = yield* Peer.callHost(guest.path, 52)
        socket.write(word)
        const answer = yield* Effect.async<string>(
          (resume) => void socket.once("data", (data) => resume(Effect.succeed(data.toString())))
        )
        expect(answer).toBe(word)
        socket.end()
      }
      yield* Fiber.join(served)
      expect(existsSync(`${guest.path}_52`)).toBe(false)
      expect(yield* Effect.flip(Peer.callHost(guest.path, 52))).toMatchObject({ code: "ENOENT" })
    })
  )

  live("holds so many that wait, and closes the others", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({})
      const taken = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const serving = yield* Effect.fork(
        Stream.runForEach(vsock.listen(52), () =>
          Effect.zipRight(Deferred.succeed(taken, undefined), Deferred.await(goOn))
        )
      )
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => existsSync(`${guest.path}_52`) })
      const first = yield* Peer.callHost(guest.path, 52)
      yield* Deferred.await(taken)
      const others = yield* Effect.replicateEffect(Peer.callHost(guest.path, 52), Vsock.backlog + 20)
      const sockets = [first, ...others]
      for (const socket of sockets) socket.resume()
      const closed = () => sockets.filter(({ destroyed }) => destroyed).length
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => closed() === 20 })
      yield* Fiber.interrupt(serving)
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => closed() === sockets.length })
    })
  )

  live("a port is listened at once, by whomever", () =>
    Effect.gen(function* () {
      const { guest, vsock } = yield* withPorts({})
      const first = yield* Effect.fork(Stream.runDrain(vsock.listen(52)))
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => existsSync(`${guest.path}_52`) })
      const error = yield* Effect.flip(Stream.runDrain(vsock.listen(52)))
      expect(error).toMatchObject({ reason: "PortInUse", port: 52, subject: `${guest.path}_52`, retryable: false })
      expect(existsSync(`${guest.path}_52`)).toBe(true)
      yield* Fiber.interrupt(first)
      writeFileSync(`${guest.path}_53`, "")
      expect(yield* Effect.flip(Stream.runDrain(vsock.listen(53)))).toMatchObject({ reason: "PortInUse" })
      const again = yield* Effect.fork(Stream.runDrain(vsock.listen(52)))
      yield* Effect.repeat(Effect.sleep("1 millis"), { until: () => existsSync(`${guest.path}_52`) })
      yield* Fiber.interrupt(again)
    })
  )

  live("where nothing can be made, the host's error is told", () =>
    Effect.gen(function* () {
      const vm = yield* Peer.launch("/nowhere/vsock")
      expect(yield* Effect.flip(Stream.runDrain(vm.vsock.listen(1)))).toMatchObject({
        reason: "HostFailure",
        subject: "/nowhere/vsock_1"
      })
    })
  )
})

describe("a connection as a socket of @effect/platform", () => {
  live("runs handlers one after the other, until the guest ends", () =>
    Effect.gen(function* () {
      const { vsock } = yield* withPorts({ 7: echo })
      const socket: EffectSocket = Vsock.toSocket(yield* vsock.connect(7))
      const write = yield* socket.writer
      const opened = yield* Deferred.make<void>()
      let got = ""
      const running = yield* Effect.fork(
        socket.run((bytes) => Effect.sync(() => (got += Buffer.from(bytes).toString())), {
          onOpen: Effect.asVoid(Deferred.succeed(opened, undefined))
        })
      )
      yield* Deferred.await(opened)
      yield* write("through ")
      yield* write(new TextEncoder().encode("a socket"))
      const { CloseEvent } = yield* Effect.promise(() => import("@effect/platform/Socket"))
      yield* write(new CloseEvent())
      yield* Fiber.join(running)
      expect(got).toBe("through a socket")
      expect(yield* Effect.flip(write("late"))).toMatchObject({ _tag: "SocketError", reason: "Write" })
    })
  )
})
