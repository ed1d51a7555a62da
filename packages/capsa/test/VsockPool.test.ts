import { expect } from "bun:test"
import type { Socket } from "node:net"
import { live } from "@capsa/testing"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Vsock from "../src/Vsock.ts"
import * as Peer from "./fixtures/vsockPeer.ts"

/** A guest that echoes at port 7 and at port 8 and counts, and a pool for it. */
const withPool = (options: Partial<Vsock.VsockPoolOptions> = {}, ports: Readonly<Record<number, Peer.AtPort>> = {}) =>
  Effect.gen(function* () {
    const counts = { connected: 0 }
    const echo = (socket: Socket) => {
      counts.connected++
      socket.pipe(socket)
    }
    const guest = yield* Peer.guest({ 7: echo, 8: echo, ...ports })
    const vm = yield* Peer.launch(guest.path)
    const pool = yield* vm.vsock.pool({ port: 7, max: 2, ...options })
    return { pool, counts, guest, vm }
  })

/** Sends a text and reads as much. */
const say = (connection: Vsock.VsockConnection, text: string) =>
  Effect.zipRight(
    connection.write(text),
    Stream.runFoldWhile(
      connection.readable,
      "",
      (got) => got.length < text.length,
      (got, piece) => got + Buffer.from(piece).toString()
    )
  )

const use = (pool: Vsock.VsockPool, text: string) =>
  Effect.scoped(Effect.flatMap(pool.acquire, (connection) => say(connection, text)))

const until = (condition: () => boolean) => Effect.repeat(Effect.sleep("1 millis"), { until: condition })

live("a connection is used again", () =>
  Effect.gen(function* () {
    const { counts, pool } = yield* withPool()
    for (const word of ["one", "two", "three"]) expect(yield* use(pool, word)).toBe(word)
    expect(counts.connected).toBe(1)
    expect(yield* pool.stats).toEqual({ idle: 1, inUse: 0, waiting: 0 })
  })
)

live("there are never more than max, and all are served", () =>
  Effect.gen(function* () {
    const { counts, guest, pool } = yield* withPool({ max: 3 })
    const words = Array.from({ length: 50 }, (_, index) => `word ${index}`)
    const answers = yield* Effect.forEach(words, (word) => use(pool, word), { concurrency: "unbounded" })
    expect(answers).toEqual(words)
    expect(counts.connected).toBe(3)
    expect(guest.sockets.size).toBe(3)
  })
)

live("who waits is served in order, and who is interrupted takes nothing", () =>
  Effect.gen(function* () {
    const { pool } = yield* withPool({ max: 1 })
    const first = yield* Scope.make()
    yield* Scope.extend(pool.acquire, first)
    const order: Array<number> = []
    const fibers = yield* Effect.forEach([1, 2, 3], (number) =>
      Effect.fork(
        Effect.scoped(
          Effect.andThen(
            pool.acquire,
            Effect.sync(() => order.push(number))
          )
        )
      ).pipe(Effect.zipLeft(Effect.sleep("5 millis")))
    )
    expect(yield* pool.stats).toEqual({ idle: 0, inUse: 1, waiting: 3 })
    yield* Fiber.interrupt(Chunk.unsafeHead(Chunk.unsafeFromArray(fibers)))
    yield* Scope.close(first, Exit.void)
    yield* Fiber.joinAll(fibers.slice(1))
    expect(order).toEqual([2, 3])
    expect(yield* pool.stats).toEqual({ idle: 1, inUse: 0, waiting: 0 })
  })
)

live("what is not as good as new is not used again", () =>
  Effect.gen(function* () {
    const { counts, guest, pool } = yield* withPool()
    // Ended by its user,
    yield* Effect.scoped(Effect.flatMap(pool.acquire, ({ end }) => end))
    expect(yield* use(pool, "a")).toBe("a")
    expect(counts.connected).toBe(2)
    // closed by its user,
    yield* Effect.scoped(Effect.flatMap(pool.acquire, ({ close }) => close))
    expect(yield* use(pool, "b")).toBe("b")
    expect(counts.connected).toBe(3)
    // with an answer that was not read, whenever it comes,
    yield* Effect.scoped(Effect.flatMap(pool.acquire, ({ write }) => write("unread")))
    yield* Effect.sleep("20 millis")
    expect(yield* use(pool, "c")).toBe("c")
    expect(counts.connected).toBe(4)
    // or ended by the guest while it lay idle.
    for (const socket of guest.sockets) socket.end()
    yield* Effect.sleep("20 millis")
    expect(yield* use(pool, "d")).toBe("d")
    expect(counts.connected).toBe(5)
    yield* until(() => guest.sockets.size === 1)
  })
)

live("an idle one is closed when its time is over", () =>
  Effect.gen(function* () {
    const { counts, guest, pool } = yield* withPool({ idleTimeToLive: "30 millis" })
    yield* Effect.all([use(pool, "a"), use(pool, "b")], { concurrency: 2 })
    yield* until(() => guest.sockets.size === 0)
    expect(yield* pool.stats).toEqual({ idle: 0, inUse: 0, waiting: 0 })
    expect(yield* use(pool, "c")).toBe("c")
    expect(counts.connected).toBe(3)
    yield* until(() => guest.sockets.size === 0)
  })
)

live("each port has its own", () =>
  Effect.gen(function* () {
    const { counts, pool } = yield* withPool({ max: 1 })
    yield* Effect.scoped(
      Effect.gen(function* () {
        const seven = yield* pool.acquire
        const eight = yield* pool.acquireTo(8)
        expect([seven.port, eight.port]).toEqual([7, 8])
        expect(yield* pool.stats).toEqual({ idle: 0, inUse: 2, waiting: 0 })
      })
    )
    expect(counts.connected).toBe(2)
    expect((yield* pool.stats).idle).toBe(2)
    expect(yield* Effect.flip(Effect.scoped(pool.acquireTo(-1)))).toMatchObject({ reason: "Invalid" })
  })
)

live("a connection that fails is told, and takes no place", () =>
  Effect.gen(function* () {
    const { pool } = yield* withPool({ port: 99, max: 2 })
    const failures = yield* Effect.all(
      Array.from({ length: 10 }, (_, index) =>
        Effect.sleep(index).pipe(Effect.zipRight(Effect.flip(Effect.scoped(pool.acquire))))
      ),
      { concurrency: "unbounded" }
    )
    for (const failure of failures) expect(failure).toMatchObject({ reason: "Refused", port: 99 })
    const late = yield* withPool({ port: 9, timeout: "10 millis" }, { 9: "" })
    expect(yield* Effect.flip(Effect.scoped(late.pool.acquire))).toMatchObject({ reason: "TimedOut" })
    expect(yield* pool.stats).toEqual({ idle: 0, inUse: 0, waiting: 0 })
  })
)

live("one that is being made is given up when its user is interrupted", () =>
  Effect.gen(function* () {
    const { guest, pool } = yield* withPool({ port: 9, max: 1 }, { 9: "" })
    const acquiring = yield* Effect.fork(Effect.scoped(pool.acquire))
    yield* until(() => guest.sockets.size === 1)
    yield* Fiber.interrupt(acquiring)
    yield* until(() => guest.sockets.size === 0)
    expect(yield* Effect.scoped(pool.acquireTo(7)).pipe(Effect.map(({ port }) => port))).toBe(7)
  })
)

live("all are closed with the pool, and who waits is told", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { guest, pool } = yield* Scope.extend(withPool({ max: 1 }), scope)
    const inUse = yield* pool.acquire
    const waiting = yield* Effect.fork(Effect.flip(Effect.scoped(pool.acquire)))
    yield* Effect.sleep("5 millis")
    yield* Scope.close(scope, Exit.void)
    expect(yield* Fiber.join(waiting)).toMatchObject({ reason: "Closed", detail: "The pool of connections is closed." })
    expect(yield* Effect.flip(inUse.write("x"))).toMatchObject({ reason: "Closed" })
    expect(yield* Effect.flip(Effect.scoped(pool.acquire))).toMatchObject({ reason: "Closed" })
    yield* until(() => guest.sockets.size === 0)
  })
)

live("options that make no pool are refused", () =>
  Effect.gen(function* () {
    const refused = (options: Partial<Vsock.VsockPoolOptions>) => Effect.flip(withPool(options))
    expect(yield* refused({ max: 0 })).toMatchObject({ reason: "Invalid", field: "max" })
    expect(yield* refused({ max: 1.5 })).toMatchObject({ reason: "Invalid", field: "max" })
    expect(yield* refused({ port: -1 })).toMatchObject({ reason: "Invalid", field: "port" })
    // @ts-expect-error: no span of time
    expect(yield* refused({ idleTimeToLive: "soon" })).toMatchObject({ reason: "Invalid", field: "idleTimeToLive" })
  })
)
