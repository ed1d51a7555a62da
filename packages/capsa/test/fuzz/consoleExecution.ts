/**
 * One execution of the console fuzzer: a guest that says and answers what a seed tells; some who wait, read, run commands and
 * log in; and a model that keeps every byte and knows what each of them must get.
 */
import type { ConsoleError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ConsoleMatch, Pattern } from "../../src/Console.ts"
import * as Console from "../../src/internal/console.ts"
import { firstString } from "../fixtures/matcherCases.ts"
import { type Random, random } from "../fixtures/random.ts"
import { makeClock } from "../fixtures/standingClock.ts"
import { kernelLine, transcript, understand } from "../fixtures/typedShell.ts"

/** What guests say. Patterns are made of the same, so that they meet. */
const words = [
  "a",
  "ab",
  "aba",
  "login: ",
  "Password: ",
  "# ",
  "Login incorrect",
  "\r\n",
  "\u001b[1m",
  "\u001e",
  ":007\u001e",
  "[    1.000000] usb 1-1: new device\r\n"
] as const
const wideWords = [...words, "é", "😀"] as const
const regExps = [/ab?/, /(.)\1/, /login: *$/, /[^a]+a/, /^#/m, /(?<=b)a|:0/] as const
const receivedMax = 4096

interface Waiting {
  readonly fiber: Fiber.RuntimeFiber<ConsoleMatch, ConsoleError>
  readonly patterns: ReadonlyArray<Pattern>
  /** What had been consumed when it began. */
  readonly from: number
  /** The oldest byte that was still there. */
  readonly first: number
}

interface World {
  readonly dice: Random
  readonly sink: Console.ConsoleSink
  readonly historyBytes: number
  readonly readers: Set<Fiber.RuntimeFiber<void>>
  /** RegExps count characters and the model counts bytes, so it is either RegExps or bytes that are no text. */
  readonly isText: boolean
  /** All that was ever said. */
  bytes: Buffer
  consumed: number
  /** What the guest answers to a key press. */
  answer: (typed: string) => void
  readonly waiting: Set<Waiting>
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

const check = (holds: boolean, what: string, details: () => unknown): void => {
  if (!holds) throw new Error(`${what}: ${Bun.inspect(details(), { depth: 4 })}`)
}

/** Lets all fibers go on as far as they can. */
const settle = Effect.repeatN(Effect.yieldNow(), 30)

const say = (world: World, bytes: Uint8Array): void => {
  world.bytes = Buffer.concat([world.bytes, bytes])
  world.sink.append(bytes)
}

const speech = ({ dice: { below, pick }, isText }: World): Buffer => {
  const parts: Array<Buffer> = []
  for (let count = below(6); count >= 0; count--) {
    if (isText) parts.push(Buffer.from(pick(words)))
    else parts.push(below(3) === 0 ? Buffer.from([below(256), below(256)]) : Buffer.from(pick(wideWords)))
  }
  // Now and then more than a small history holds.
  return Buffer.concat(below(20) === 0 ? Array.from({ length: 200 }, () => Buffer.concat(parts)) : parts)
}

const speak = (world: World) => Effect.sync(() => say(world, speech(world)))

const patternsOf = ({ dice: { below, pick }, isText }: World): ReadonlyArray<Pattern> =>
  Array.from({ length: 1 + below(4) }, () =>
    isText && below(3) === 0 ? pick(regExps) : `${pick(wideWords)}${below(2) === 0 ? pick(words) : ""}`
  )

const wait = Effect.fnUntraced(function* (world: World) {
  const patterns = patternsOf(world)
  const timeout = world.dice.below(2) === 0 ? "1 second" : undefined
  const from = world.consumed
  const first = Math.max(from, world.bytes.length - world.historyBytes)
  const fiber = yield* Effect.fork(world.sink.console.expect(patterns, { timeout, windowBytes: 100_000 }))
  world.waiting.add({ fiber, patterns, from, first })
})

const giveUp = Effect.fnUntraced(function* ({ dice: { below }, waiting }: World) {
  const one = [...waiting][below(waiting.size + 1)]
  if (one === undefined) return
  yield* Fiber.interrupt(one.fiber)
  waiting.delete(one)
})

/** Whether what waiters got is what they must get, and who got nothing must get nothing. */
const checkWaiting = Effect.fnUntraced(function* (world: World) {
  for (const one of [...world.waiting]) {
    const exit = yield* Fiber.poll(one.fiber)
    if (Option.isNone(exit)) {
      const strings = firstString(one.patterns, world.bytes.subarray(one.first))
      check(strings === undefined, "a match was missed", () => ({ ...one, strings, bytes: latin1(world.bytes) }))
      continue
    }
    world.waiting.delete(one)
    const result = yield* Effect.either(exit.value)
    if (Either.isRight(result)) checkMatch(world, one, result.right)
    else checkTimeout(world, one, result.left)
  }
})

const checkMatch = (world: World, { patterns, from, first }: Waiting, match: ConsoleMatch): void => {
  const expected = firstString(patterns, world.bytes.subarray(first))
  const details = () => ({ patterns, from, first, match, expected, bytes: latin1(world.bytes) })
  const pattern = patterns[match.index]
  const isString = typeof pattern === "string"
  if (!world.isText) check(match.index === expected?.index, "another match comes first", details)
  const start = world.isText ? from + match.lost + match.before.length : first + (expected?.start ?? 0)
  const end = start + Buffer.byteLength(match.text)
  check(world.bytes.subarray(start, end).toString() === match.text, "that is not what was said", details)
  check(isString ? match.text === pattern : pattern !== undefined, "that is not the pattern", details)
  check(expected === undefined || end <= first + expected.end, "an earlier match was missed", details)
  const before = world.bytes.subarray(from + match.lost, start).toString()
  check(match.before === before && match.lost >= first - from, "that is not what came before", details)
  world.consumed = Math.max(world.consumed, end)
}

const checkTimeout = ({ bytes, historyBytes }: World, { from }: Waiting, error: ConsoleError): void => {
  const start = Math.max(from, bytes.length - Math.min(receivedMax, historyBytes))
  const received = bytes.subarray(start).toString()
  check(error.reason === "Timeout" && error.received === received, "a wrong error", () => ({ error, received }))
}

/** Reads with a pace of its own, from some byte that came or from the next. */
const read = Effect.fnUntraced(function* (world: World) {
  const { below } = world.dice
  const from = below(2) === 0 ? below(world.bytes.length + 1) : world.bytes.length
  const pace = below(100)
  const end = yield* Stream.runFoldEffect(
    world.sink.console.chunksFrom(from),
    from,
    (at, { bytes, lost, position }) => {
      const isTrue = world.bytes.subarray(position, position + bytes.length).equals(bytes)
      check(isTrue && position === at + lost && bytes.length > 0, "a wrong chunk", () => ({
        at,
        position,
        lost,
        bytes
      }))
      return Effect.as(Effect.repeatN(Effect.yieldNow(), pace), position + bytes.length)
    }
  )
  check(end === world.bytes.length, "a reader ended early", () => end)
})

/** A shell that answers with the kernel talking in between, in pieces. */
const run = Effect.fnUntraced(function* (world: World) {
  const { below, cut, pick } = world.dice
  const output = world.isText
    ? Buffer.from(pick(words).repeat(below(30)).replaceAll("\r", ""))
    : Buffer.from(Array.from({ length: below(200) }, () => below(256)))
  const exitCode = below(256)
  const prompt = "\u001b[1mroot\u001b[m# "
  let typed = ""
  world.answer = (keys) => {
    typed += keys
    const understood = understand(typed)
    if (understood === undefined) return
    const said = transcript({ typed, nonce: understood.nonce, output, exitCode, prompt: "" })
    const parts: Array<Uint8Array> = []
    for (let from = 0; from < said.length; ) {
      const to = from + below(said.length)
      parts.push(said.subarray(from, to))
      if (to < said.length) parts.push(Buffer.from(kernelLine(from)))
      from = to
    }
    for (const piece of cut(Buffer.concat([...parts, Buffer.from(prompt)]))) say(world, piece)
  }
  const command = `echo ${below(1000)}\n'${pick(wideWords)}'`
  const prompted = below(2) === 0
  const result = yield* world.sink.console.run(command, prompted ? { prompt: "root# " } : {})
  // The kernel's lines may part carriage returns from their line feed.
  const lines = (bytes: Uint8Array) =>
    latin1(bytes)
      .replace(/\[ *\d+\.\d{6}\] eth0: link is up\r*\n/g, "")
      .replace(/\r*\n/g, "\n")
  const details = () => ({ result, said: lines(result.bytes), output: latin1(output) })
  check(result.exitCode === exitCode, "a wrong status", details)
  check(result.lost > 0 || lines(result.bytes) === lines(output), "a wrong output", details)
  world.consumed = world.bytes.length - (prompted ? 0 : prompt.length)
})

/** Whatever the guest says meanwhile, it comes to an end. */
const login = Effect.fnUntraced(function* (world: World, pass: Effect.Effect<void>) {
  const { console } = world.sink
  const fiber = yield* Effect.fork(
    Effect.either(console.login({ user: "me", password: "secret", timeout: "1 minute" }))
  )
  for (let count = world.dice.below(6); count >= 0; count--) {
    yield* Effect.zipRight(speak(world), settle)
    if (world.dice.below(3) === 0) yield* pass
  }
  yield* Effect.zipRight(pass, settle)
  yield* pass
  const result = yield* Fiber.join(fiber)
  const isSecret = Either.isLeft(result) && JSON.stringify(result.left).includes("secret")
  check(!isSecret, "the password came out", () => result)
})

const makeWorld = (dice: Random): World => {
  const historyBytes = dice.below(4) === 0 ? 65_536 : 512 + dice.below(4096)
  const write = (keys: Uint8Array) => Effect.sync(() => world.answer(Buffer.from(keys).toString("latin1")))
  const world: World = {
    dice,
    historyBytes,
    sink: Console.make({ consoleLost: Effect.succeed(0), write }, historyBytes),
    isText: dice.below(2) === 0,
    bytes: Buffer.alloc(0),
    consumed: 0,
    answer: () => {},
    waiting: new Set(),
    readers: new Set()
  }
  return world
}

/** Dies when the console does what the model does not know. */
export const execute = (seed: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const world = makeWorld(random(seed))
    const { clock, ring } = makeClock()
    const startReader = Effect.map(Effect.fork(read(world)), (fiber) => world.readers.add(fiber))
    const steps = [
      speak(world),
      speak(world),
      speak(world),
      wait(world),
      wait(world),
      giveUp(world),
      ring,
      startReader,
      run(world)
    ] as const
    return Effect.gen(function* () {
      for (let count = world.dice.below(30); count >= 0; count--) {
        yield* Effect.orDie(Effect.suspend(() => world.dice.pick<Effect.Effect<unknown, unknown>>(steps)))
        yield* settle
        yield* checkWaiting(world)
      }
      if (world.dice.below(4) === 0) yield* login(world, ring)
      world.sink.end({ _tag: "PowerOff" })
      for (const { fiber } of world.waiting) yield* Effect.exit(Fiber.join(fiber))
      for (const fiber of world.readers) yield* Fiber.join(fiber)
    }).pipe(Effect.withClock(clock))
  })
