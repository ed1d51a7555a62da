import { heapStats } from "bun:jsc"
import { describe, expect } from "bun:test"
import type { VmExit } from "@capsa/core"
import { effect, live, Simulated } from "@capsa/testing"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Vm from "../src/Vm.ts"

const powerOff: VmExit = { _tag: "PowerOff" }
const on =
  (guest: Simulated.Script) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.provide(body, Simulated.layer({ guest }))

/** Prints one text a millisecond, then waits for ever. */
const slowly =
  (...texts: ReadonlyArray<string>): Simulated.Script =>
  ({ print }) =>
    Effect.zipRight(
      Effect.forEach(texts, (text) => Effect.zipRight(print(text), Effect.sleep(1))),
      Effect.never
    )

/** What is reachable from JavaScript, buffers included. */
const retainedBytes = (): number => {
  Bun.gc(true)
  const { heapSize, extraMemorySize } = heapStats()
  return heapSize + extraMemorySize
}

const utf8 = (bytes: Uint8Array) => Buffer.from(bytes).toString()

describe("console.expect", () => {
  effect("finds a prompt without a line end, cut anywhere, and tells what came before", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({})
      const waiting = yield* Effect.fork(console.expect("login: "))
      yield* TestClock.adjust(10)
      expect(yield* Fiber.join(waiting)).toEqual({
        text: "login: ",
        before: "Debian 12\r\n",
        match: ["login: "],
        index: 0,
        lost: 0
      })
    }).pipe(on(slowly("Debi", "an 12\r", "\nlog", "in", ": ")))
  )

  effect("of several patterns takes the one that comes first, with its groups", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({})
      yield* TestClock.adjust(5)
      const first = yield* console.expect([/error: (\w+)(!)?/, "done", /x{3}/])
      expect(first).toMatchObject({ index: 2, text: "xxx", match: ["xxx"], before: "a" })
      const second = yield* console.expect([/error: (\w+)(!)?/, "done"])
      expect(second).toMatchObject({ index: 0, match: ["error: disk", "disk", undefined], before: "b" })
      expect(yield* console.expect("done")).toMatchObject({ before: " c " })
    }).pipe(on(slowly("axxxberror: disk c done")))
  )

  effect("after a time-out finds what came before it", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({})
      const waiting = yield* Effect.fork(Effect.flip(console.expect(/never/, { timeout: "30 seconds" })))
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(waiting)
      expect(error).toMatchObject({ reason: "Timeout", pattern: "/never/", received: "one two ", retryable: true })
      expect(error.message).toBe("The time was up while waiting for /never/.")
      expect(error.hint).not.toBe("")
      expect(yield* console.expect("one")).toMatchObject({ before: "" })
      expect(yield* console.expect("two")).toMatchObject({ before: " " })
    }).pipe(on(slowly("one ", "two ")))
  )

  effect("fails when the machine ends, with the tail of what came", () =>
    Effect.gen(function* () {
      const { console, wait } = yield* Vm.launch({})
      const waiting = yield* Effect.fork(Effect.flip(console.expect(["x", "y"])))
      yield* wait
      const expected = { reason: "Ended", pattern: '"x" or "y"', received: "last w\u00f6rds", exit: powerOff }
      const error = yield* Fiber.join(waiting)
      expect(error).toMatchObject(expected)
      expect(error.message).toBe('The machine ended (PowerOff) while waiting for "x" or "y".')
      expect(yield* Effect.flip(console.expect(["x", "y"]))).toMatchObject(expected)
      expect(yield* console.expect("last")).toMatchObject({ text: "last" })
    }).pipe(on(({ print }) => Effect.as(print("last w\u00f6rds"), powerOff)))
  )

  effect("serves several waiters at a time, each from the same beginning", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({})
      const waiting = yield* Effect.forkAll([
        console.expect("beta"),
        console.expect("alpha"),
        console.expect(/gam{2}a/)
      ])
      yield* Effect.yieldNow()
      yield* TestClock.adjust(10)
      const [beta, alpha, gamma] = yield* Fiber.join(waiting)
      expect(alpha?.before).toBe("")
      expect(beta?.before).toBe("alpha ")
      expect(gamma?.before).toBe("alpha beta ")
      expect(
        (yield* Effect.fork(console.expect("end")).pipe(
          Effect.zipLeft(TestClock.adjust(10)),
          Effect.flatMap(Fiber.join)
        )).before
      ).toBe(" ")
    }).pipe(on(slowly("alp", "ha be", "ta gam", "ma ", "end")))
  )

  effect("interrupted waits leave the output to the next", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({})
      const waiting = yield* Effect.fork(console.expect("zzz"))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust(10)
      expect(yield* console.expect("bc")).toMatchObject({ before: "a" })
    }).pipe(on(slowly("ab", "cd")))
  )

  effect("finds what fits into the history, and tells what left it", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({ console: { historyBytes: 4096 } })
      yield* TestClock.adjust(10)
      const match = yield* console.expect("end")
      expect(match.lost).toBe(10_003 - 4096)
      expect(match.before.length).toBe(4093)
    }).pipe(on(slowly("a".repeat(10_000), "end")))
  )

  effect("finds what comes in a piece larger than the history", () =>
    Effect.gen(function* () {
      const { console } = yield* Vm.launch({ console: { historyBytes: 4096 } })
      const waiting = yield* Effect.fork(console.expect("needle"))
      yield* TestClock.adjust(10)
      const match = yield* Fiber.join(waiting)
      expect(match.text).toBe("needle")
      expect(match.before.endsWith("--")).toBe(true)
      expect(match.lost + match.before.length).toBe(5000)
    }).pipe(on(slowly(`${"-".repeat(5000)}needle${"-".repeat(50_000)}`)))
  )
})

describe("console output", () => {
  effect("comes to each reader from its subscription on, and ends with the machine", () => {
    const guest: Simulated.Script = ({ print, readLine }) =>
      Effect.gen(function* () {
        yield* print("early ")
        yield* readLine
        yield* print("late")
        return powerOff
      })
    return Effect.gen(function* () {
      const { console, wait } = yield* Vm.launch({})
      yield* console.expect("early ")
      const readers = yield* Effect.forkAll([Stream.runCollect(console.output), Stream.runCollect(console.output)])
      yield* Effect.yieldNow()
      yield* console.writeLine("go on")
      for (const pieces of yield* Fiber.join(readers)) {
        expect(utf8(Buffer.concat(Chunk.toReadonlyArray(pieces)))).toBe("late")
      }
      yield* wait
      expect(utf8(yield* console.history)).toBe("early late")
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(console.output))).toEqual([])
      expect(yield* console.lost).toBe(0)
    }).pipe(on(guest))
  })

  effect("input arrives as typed, text and bytes", () => {
    const guest: Simulated.Script = ({ print, readLine }) =>
      Effect.gen(function* () {
        for (let line = 0; line < 3; line++) yield* print(`<${yield* readLine}>`)
        return powerOff
      })
    return Effect.gen(function* () {
      const { console, wait } = yield* Vm.launch({})
      yield* console.writeLine("é 1")
      yield* console.write("two\n")
      yield* console.write(Buffer.from("three\r"))
      yield* wait
      expect(utf8(yield* console.history)).toBe("<é 1><two><three>")
    }).pipe(on(guest))
  })

  live("a reader that falls behind is told how much it lost", () => {
    const guest: Simulated.Script = ({ print, readLine }) =>
      Effect.gen(function* () {
        yield* print("first")
        yield* readLine
        for (let count = 0; count < 100; count++) yield* print("x".repeat(1000))
        return powerOff
      })
    return Effect.gen(function* () {
      const { console, wait } = yield* Vm.launch({ console: { historyBytes: 8192 } })
      yield* console.expect("first")
      const gate = yield* Effect.makeLatch(false)
      const reader = yield* Effect.fork(
        Stream.runCollect(Stream.tap(console.chunks, () => gate.await).pipe(Stream.rechunk(1)))
      )
      yield* Effect.yieldNow()
      yield* console.writeLine("")
      yield* wait
      yield* gate.open
      const chunks = Chunk.toReadonlyArray(yield* Fiber.join(reader))
      const read = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)
      const lost = chunks.reduce((sum, chunk) => sum + chunk.lost, 0)
      expect(read + lost).toBe(100_000)
      expect(lost).toBeGreaterThan(50_000)
      for (const [index, chunk] of chunks.entries()) {
        const before = chunks[index - 1]
        expect(chunk.position).toBe((before === undefined ? 5 : before.position + before.bytes.length) + chunk.lost)
      }
    }).pipe(on(guest))
  })

  effect("comes from the first byte still held, or from any position, to who asks for it", () =>
    Effect.gen(function* () {
      const { console, wait } = yield* Vm.launch({ console: { historyBytes: 4096 } })
      const early = yield* Effect.fork(Stream.runCollect(console.chunksFrom(0)))
      yield* TestClock.adjust(10)
      yield* wait
      const all = Chunk.toReadonlyArray(yield* Fiber.join(early))
      expect(utf8(Buffer.concat(all.map(({ bytes }) => bytes)))).toBe(`${"a".repeat(4000)}${"b".repeat(1000)}`)
      const [late] = yield* Stream.runCollect(console.chunksFrom(0))
      expect(late).toMatchObject({ position: 5000 - 4096, lost: 5000 - 4096 })
      expect(late?.bytes).toEqual(yield* console.history)
      const [tail] = yield* Stream.runCollect(console.chunksFrom(4990))
      expect(tail).toEqual({ position: 4990, lost: 0, bytes: new Uint8Array(10).fill(0x62) })
      expect(yield* Stream.runCount(console.chunksFrom(5000))).toBe(0)
    }).pipe(
      on(({ print }) =>
        print("a".repeat(4000)).pipe(
          Effect.zipRight(Effect.sleep(1)),
          Effect.zipRight(print("b".repeat(1000))),
          Effect.as(powerOff)
        )
      )
    )
  )

  live(
    "1 GiB with a slow reader, a waiter and a reader that stands still keeps memory flat",
    () => {
      const piece = Buffer.alloc(65_536, "0123456789abcdef\n")
      const pieces = 1024 ** 3 / piece.length
      const readEvery = 64
      return Effect.gen(function* () {
        const pace = yield* Queue.unbounded<void>()
        const retained: Array<number> = []
        const guest: Simulated.Script = ({ print, readLine }) =>
          Effect.gen(function* () {
            yield* readLine
            for (let count = 0; count < pieces; count++) {
              yield* print(piece)
              if (count % readEvery === 0) yield* Queue.offer(pace, undefined)
              if (count % (pieces / 16) === 0) retained.push(retainedBytes())
            }
            yield* Queue.offerAll(
              pace,
              Array.from({ length: readEvery }, () => undefined)
            )
            return powerOff
          })
        return yield* Effect.gen(function* () {
          const vm = yield* Vm.launch({})
          const slow = yield* vm.console.chunks.pipe(
            Stream.rechunk(1),
            Stream.tap(() => Queue.take(pace)),
            Stream.runFold({ read: 0, lost: 0 }, ({ read, lost }, chunk) => ({
              read: read + chunk.bytes.length,
              lost: lost + chunk.lost
            })),
            Effect.fork
          )
          const still = yield* Effect.fork(Stream.runForEach(vm.console.chunks, () => Effect.never))
          const waiter = yield* Effect.fork(Effect.flip(vm.console.expect("never there")))
          yield* Effect.yieldNow()
          yield* vm.console.writeLine("begin")
          expect(yield* vm.wait).toEqual(powerOff)
          const { read, lost } = yield* Fiber.join(slow)
          expect(read + lost).toBe(1024 ** 3)
          expect(lost).toBeGreaterThan(0.9 * 1024 ** 3)
          expect((yield* Fiber.join(waiter)).reason).toBe("Ended")
          expect((yield* vm.console.history).length).toBe(1024 * 1024)
          yield* Fiber.interrupt(still)
          // The first measures come while the history fills; the runtime's own heap moves by some MiB on a busy host.
          const settled = retained.slice(2)
          expect(Math.max(...settled) - Math.min(...settled)).toBeLessThan(8 * 1024 * 1024)
        }).pipe(on(guest))
      })
    },
    120_000
  )
})
