/** A session with an agent that says anything: it ends with a typed error or goes on, and never holds more than it must. */
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Channel, MachineError, SandboxError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { headBytes } from "../src/internal/agent/frames.ts"
import { dataBytesMax } from "../src/internal/agent/messages.ts"
import { encode, type Value } from "../src/internal/agent/msgpack.ts"
import { type AboutCall, type Listener, make } from "../src/internal/agent/session.ts"

const framed = (body: Uint8Array, length: number = body.length): Uint8Array => {
  const frame = new Uint8Array(headBytes + body.length)
  new DataView(frame.buffer).setUint32(0, length)
  frame.set(body, headBytes)
  return frame
}

const hello = framed(encode([0, "capsa", 1, 1, { agent: "0.1.0", window: 131072 }]))

/** The bodies of all messages that the agent has. */
const vectors = readFileSync(join(import.meta.dir, "../../../native/test/guest/vectors.txt"), "utf8")
  .split("\n")
  .flatMap((line) => {
    const hex = /^< \S+ ([0-9a-f]+) /.exec(line)?.[1]
    return hex === undefined ? [] : [Uint8Array.from(Buffer.from(hex, "hex"))]
  })
const sound = [...vectors, encode([0, "capsa", 7, 9]), encode([15, "Version", "none that fits"])]

const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer(),
    fc.double(),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 64 }),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constant("__proto__"), fc.constant("reason")), tie("value"), { maxKeys: 4 })
  )
})).value

const message = fc
  .tuple(fc.integer({ min: -1, max: 17 }), fc.integer({ min: -1, max: 3 }), fc.array(value, { maxLength: 5 }))
  .map(([kind, id, rest]) => encode([kind, id, ...rest]))

const mutated = fc
  .tuple(fc.constantFrom(...sound), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 3 }), fc.nat(3))
  .map(([body, changes, cut]) => {
    const copy = body.slice(0, Math.max(1, body.length - cut))
    for (const [at, byte] of changes) copy[at % copy.length] = byte
    return copy
  })

const frame = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...sound).map((body) => framed(body)) },
  { weight: 4, arbitrary: mutated.map((body) => framed(body)) },
  { weight: 4, arbitrary: message.map((body) => framed(body)) },
  fc.uint8Array({ minLength: 1, maxLength: 100 }).map((body) => framed(body)),
  fc.tuple(fc.uint8Array({ maxLength: 20 }), fc.nat(0xffffffff)).map(([body, length]) => framed(body, length)),
  fc.uint8Array({ maxLength: 40 })
)

/** The same bytes in pieces of these sizes. */
const inPieces = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? bytes.length
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

/** Once both calls are open, or at once if it does not greet, all pieces come; then it ends. */
const channelOf = (greets: boolean, pieces: Iterable<Uint8Array>) =>
  Effect.gen(function* () {
    const asked = yield* Effect.makeLatch(!greets)
    let calls = 0
    return {
      bytes: Stream.concat(
        Stream.fromIterable(greets ? [hello] : []),
        Stream.unwrap(Effect.as(asked.await, Stream.fromIterable(pieces)))
      ),
      write: (bytes: Uint8Array) =>
        Effect.suspend(() => (bytes[headBytes + 1] === 3 && ++calls === 2 ? asked.open : Effect.void))
    } satisfies Channel
  })

/** Opens two calls, listens as long as there is something to hear, and tells how the session was lost. */
const talk = (greets: boolean, pieces: Iterable<Uint8Array>) =>
  Effect.gen(function* () {
    const session = yield* make(yield* channelOf(greets, pieces))
    let heard = 0
    let lost = 0
    const listener: Listener = {
      on: () => {
        heard++
        return undefined
      },
      lost: () => {
        lost++
      }
    }
    const open = Effect.either(session.open("spawn", {}, listener))
    const opened = [yield* open, yield* open].filter(Either.isRight).length
    const error = yield* session.lost
    return { heard, lost, opened, error, late: yield* open, ping: yield* Effect.either(session.ping) }
  }).pipe(Effect.scoped, Effect.timeout("10 seconds"))

const reasons = ["Disconnected", "Protocol", "VersionSkew"]

test("what the agent said last is heard, though it takes no more", () => {
  const gone = new MachineError({ reason: "NotRunning", detail: "It has ended.", hint: "Launch another." })
  const saying = Effect.gen(function* () {
    const said = yield* Mailbox.make<Uint8Array>()
    const refused = yield* Deferred.make<void>()
    let written = 0
    const session = yield* make({
      bytes: Mailbox.toStream(said),
      write: () =>
        Effect.suspend(() => {
          if (++written === 1) said.unsafeOffer(hello)
          return written < 3 ? Effect.void : Effect.zipRight(Deferred.succeed(refused, undefined), gone)
        })
    })
    const heard = yield* Deferred.make<AboutCall>()
    const on: Listener["on"] = (message) => {
      Deferred.unsafeDone(heard, Effect.succeed(message))
      return undefined
    }
    const line = yield* session.open("spawn", {}, { on, lost: () => {} })
    line.post((id) => [6, id, 1, 100])
    yield* Deferred.await(refused)
    // Whoever takes that for the end does so now.
    yield* Effect.yieldNow()
    said.unsafeOffer(framed(encode([12, 1, 0, null, 0, 0])))
    yield* said.end
    expect(yield* Deferred.await(heard)).toMatchObject({ _tag: "Exit", code: 0 })
    expect(yield* session.lost).toMatchObject({ reason: "Disconnected" })
  })
  return Effect.runPromise(saying.pipe(Effect.scoped, Effect.timeout("10 seconds")))
})

test("an agent that is silent is lost, also for who only asks whether it answers", async () => {
  const asking = Effect.gen(function* () {
    const session = yield* make({ bytes: Stream.concat(Stream.make(hello), Stream.never), write: () => Effect.void })
    const waiting = yield* Effect.fork(Effect.flip(session.ping))
    yield* TestClock.adjust("2 minutes")
    return Option.map(
      yield* Fiber.poll(waiting),
      Exit.map(({ reason }) => reason)
    )
  })
  const seen = await Effect.runPromise(asking.pipe(Effect.scoped, Effect.provide(TestContext.TestContext)))
  expect(seen).toEqual(Option.some(Exit.succeed("Unresponsive")))
})

describe("a session whose agent says anything", () => {
  test("fails or is lost with a typed error", async () => {
    const seen = new Set<string>()
    let heard = 0
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 5 }),
        async (greets, frames, sizes) => {
          const bytes = Uint8Array.from(Buffer.concat(frames))
          const exit = await Effect.runPromiseExit(Effect.either(talk(greets, inPieces(bytes, sizes))))
          // Neither a defect nor an interruption.
          if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
          const error = Either.isLeft(exit.value) ? exit.value.left : exit.value.right.error
          if (!(error instanceof SandboxError)) throw error
          expect(reasons).toContain(error.reason)
          seen.add(error.reason)
          if (Either.isLeft(exit.value)) return
          const { late, lost, opened, ping } = exit.value.right
          heard += exit.value.right.heard
          expect(lost).toBe(opened)
          expect(late).toEqual(Either.left(error))
          expect(ping).toEqual(Either.left(error))
        }
      ),
      { numRuns: 1000 }
    )
    expect([...seen].sort()).toEqual(reasons)
    expect(heard).toBeGreaterThan(0)
  }, 60_000)

  test("holds nothing of 256 MiB that nobody keeps", async () => {
    const data = framed(encode([4, 1, 1, new Uint8Array(dataBytesMax)]))
    const pieces = function* () {
      for (let sent = 0; sent < 256 * 1024 * 1024; sent += data.length) yield data
    }
    Bun.gc(true)
    const before = process.memoryUsage().heapUsed
    const { error, heard } = await Effect.runPromise(talk(true, pieces()))
    Bun.gc(true)
    expect(error.reason).toBe("Disconnected")
    expect(heard).toBeGreaterThan(8000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(32 * 1024 * 1024)
  }, 60_000)
})
