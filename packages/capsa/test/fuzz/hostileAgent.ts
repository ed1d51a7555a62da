/**
 * An agent of the fuzzer: it answers what it is asked, as well or as badly as a seed tells, and says other things beside. It
 * knows what the host has granted, and sees to it that the host keeps to what it was granted itself.
 */
import { MachineError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import { makeSplitter } from "../../src/internal/agent/frames.ts"
import { dataBytesMax, frameBytesMax, outputWindow } from "../../src/internal/agent/messages.ts"
import { decode, encode, type Value } from "../../src/internal/agent/msgpack.ts"
import { end, headerOf, nothing, padding } from "../../src/internal/agent/tarWrite.ts"
import { type Hostile, hostile } from "../fixtures/hostileArchives.ts"
import type { Random } from "../fixtures/random.ts"

const kinds = { hello: 0, ping: 1, pong: 2, open: 3, data: 4, end: 5, credit: 6, drop: 7, cancel: 10 } as const
const window = 64 * 1024

/** A call that the host has opened. */
interface Call {
  readonly id: number
  readonly method: string
  /** What it says, of which `undefined` is a wait for something from the host. */
  readonly answer: Iterator<Value | undefined>
  /** What each output may still be sent. */
  readonly welcome: [none: number, output: number, error: number]
  /** What the host may still send. */
  granted: number
  inputEnded: boolean
}

/** How wicked it is, from an agent that only does what it should. */
export interface Wickedness {
  /** One of so many frames is spoilt; none if 0. */
  readonly spoils: number
  /** One of so many things that it says is none that it was asked for; none if 0. */
  readonly lies: number
  /** Whether its archives mean harm. */
  readonly archives: boolean
}

export interface HostileAgent {
  readonly bytes: Mailbox.ReadonlyMailbox<Uint8Array>
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, MachineError>
  /** Says the next thing, if there is one. */
  readonly speak: Effect.Effect<void>
  /** From now on it takes nothing, or hears nothing and lets the host wait. */
  readonly turnAway: (how: "refuses" | "hangs") => void
  readonly hangUp: Effect.Effect<void>
  /** What the host has done wrong. */
  readonly faults: ReadonlyArray<string>
}

const gone = new MachineError({ reason: "NotRunning", detail: "It takes no more.", hint: "None." })

const framed = (body: Uint8Array, length: number = body.length): Uint8Array => {
  const frame = new Uint8Array(4 + body.length)
  new DataView(frame.buffer).setUint32(0, length)
  frame.set(body, 4)
  return frame
}

const info = {
  agent: "0.1.0",
  kernel: "6.1",
  architecture: "x86_64",
  hostname: "vm",
  cpus: 1,
  memoryBytes: 1,
  freeBytes: 1,
  uptimeSeconds: 1,
  clockMs: 1,
  addresses: [{ device: "eth0", address: "10.0.2.15/24" }],
  mounts: []
}

export const makeAgent = Effect.fnUntraced(function* (dice: Random, wickedness: Wickedness, outside: string) {
  const { below, cut, pick } = dice
  const said = yield* Mailbox.make<Uint8Array>(16)
  const calls = new Map<number, Call>()
  const replies: Array<Value> = [[kinds.hello, "capsa", 1, 1 + below(3), { agent: "0.1.0", window, more: [1] }]]
  const splitter = makeSplitter()
  const faults: Array<string> = []
  let greeted = false
  let hears: "all" | "refuses" | "hangs" = "all"

  const isOneIn = (chance: number): boolean => chance > 0 && below(chance) === 0
  const someBytes = (most: number): Uint8Array => {
    const bytes = new Uint8Array(below(most) + 1)
    for (let count = below(20); count > 0; count--) bytes[below(bytes.length)] = below(256)
    return bytes
  }

  const someEntry = (): Value => ({
    name: Buffer.from(pick(["a", "b c", "ü😀", "new\nline", "\xff"]), "latin1"),
    type: pick(["file", "folder", "link", "fifo", "socket", "device"]),
    size: below(1000),
    mode: below(0o10000),
    uid: 0,
    gid: 0,
    modifiedMs: below(1e9),
    ...(below(2) === 0 ? {} : { target: Buffer.from("../..") })
  })

  const someArchive = (): Uint8Array => {
    if (wickedness.archives && below(6) === 0) {
      const target = Buffer.from(pick([outside, "source", "victim", ".", "target"]))
      return Buffer.concat([headerOf({ ...ordinary, type: "link", path: Buffer.from("."), size: 0, target }), end])
    }
    if (wickedness.archives && below(3) > 0) {
      const archive = Uint8Array.from(pick(archives).make(outside))
      for (let count = below(4); count > 1; count--) archive[below(archive.length)] = below(256)
      return archive
    }
    const parts: Array<Uint8Array> = [headerOf({ ...ordinary, type: "folder", path: Buffer.from("."), size: 0 })]
    for (let count = below(6); count > 0; count--) {
      const content = someBytes(3000)
      const name = Buffer.from(`${pick(["", "x/", "x/y/"])}${pick(["one", "two", "three four"])}`)
      const more = { mode: below(wickedness.archives ? 0o10000 : 0o700) | 0o600, seconds: below(2 ** 31) }
      parts.push(headerOf({ ...ordinary, ...more, path: name, size: content.length }), content, padding(content.length))
    }
    return Buffer.concat([...parts, end])
  }

  const contentOf = (method: string): Uint8Array => {
    if (method === "pack") return someArchive()
    if (method !== "list") return someBytes(below(8) === 0 ? 600_000 : 5000)
    return Buffer.concat(Array.from({ length: below(30) }, () => framed(encode(someEntry()))))
  }

  const resultOf = (method: string): Value => {
    if (method === "info") return info
    if (method === "stat") return someEntry()
    return method === "pack" || method === "unpack" ? { entries: below(100), skipped: below(3) } : {}
  }

  /** All that belongs to an answer, in order. */
  const answer = function* (call: () => Call, method: string, id: number): Generator<Value | undefined> {
    if (below(12) === 0) {
      const failure = { reason: pick(["Invalid", "Busy", "Unstartable", "File", "Unsafe", "Start", "Died"]) }
      yield [14, id, { ...failure, ...(below(2) === 0 ? {} : { errno: "ENOENT", step: "program", subject: "x" }) }]
      return
    }
    if (method === "spawn") yield [11, id, 1 + below(1000)]
    const written = [0, 0, 0]
    for (const channel of method === "spawn" ? [1, 2] : [1]) {
      if (!["spawn", "read", "list", "pack"].includes(method)) break
      const content = contentOf(method)
      for (let at = 0; at < content.length; ) {
        const size = Math.min(content.length - at, call().welcome[channel] ?? 0, 1 + below(dataBytesMax))
        if (size > 0) yield [4, id, channel, content.subarray(at, at + size)]
        else yield undefined
        at += size
      }
      written[channel] = content.length
      yield [5, id, channel]
    }
    while ((method === "write" || method === "unpack") && !call().inputEnded) yield undefined
    if (method !== "spawn") yield [13, id, resultOf(method)]
    else if (below(4) === 0) yield [12, id, null, 1 + below(64), written[1] ?? 0, written[2] ?? 0]
    else yield [12, id, below(256), null, below(3) === 0 ? null : (written[1] ?? 0), written[2] ?? 0]
  }

  const onOpen = (id: number, method: string): void => {
    const call: Call = {
      id,
      method,
      answer: answer(() => call, method, id),
      welcome: [0, outputWindow, outputWindow],
      granted: window,
      inputEnded: false
    }
    calls.set(id, call)
  }

  /** What the host says is sound, and within what it was granted. */
  const hear = (message: unknown): void => {
    if (!Array.isArray(message)) {
      faults.push("it said what is no message")
      return
    }
    const [kind, id, first, second]: ReadonlyArray<unknown> = message
    if (kind === kinds.ping && typeof id === "number") replies.push([kinds.pong, id])
    if (typeof id !== "number") return
    if (kind === kinds.open && typeof first === "string") {
      onOpen(id, first)
      return
    }
    const call = calls.get(id)
    if (call === undefined) return
    if (kind === kinds.data && second instanceof Uint8Array) {
      call.granted -= second.length
      if (call.granted < 0) faults.push(`it sent ${-call.granted} bytes more than it was granted`)
      replies.push([kinds.credit, id, 0, second.length])
    }
    if (kind === kinds.end) call.inputEnded = true
    if (kind === kinds.credit && (first === 1 || first === 2) && typeof second === "number") {
      call.welcome[first] += second
    }
    if (kind === kinds.cancel) calls.delete(id)
  }

  const someId = (): number => pick([pick([0, 1, 2, ...calls.keys()]), below(40), 2 ** 32, -1, 1.5])

  /** What nobody has asked for. */
  const lies: readonly [() => Value, ...ReadonlyArray<() => Value>] = [
    () => [kinds.pong, someId()],
    () => [4, someId(), below(4), someBytes(100)],
    () => [4, someId(), 1, new Uint8Array(dataBytesMax)],
    () => [5, someId(), below(4)],
    () => [6, someId(), 0, pick([1, 65_536, 2 ** 31, Number.MAX_SAFE_INTEGER, -1, 0.5])],
    () => [7, someId(), below(3)],
    () => [11, someId(), below(100)],
    () => [12, someId(), pick([0, 1, null, -1, 2 ** 53]), pick([null, 9, 0]), pick([null, 0, 1e15]), 0],
    () => [13, someId(), pick<Value>([{}, null, info, someEntry(), [[[[]]]], { __proto__: 1 }])],
    () => [14, someId(), { reason: pick(["File", "Busy", "None"]), errno: "E".repeat(below(2000)) }],
    () => [15, pick(["Version", "Protocol", "\u001b[2J"]), "x".repeat(below(frameBytesMax - 50))],
    () => [kinds.hello, "capsa", below(3), below(3), { agent: "x", window: pick([1, 0, -1, 0.5, 2 ** 52]) }],
    () => [below(20), below(20), null, below(20)],
    () => pick<Value>([null, 1, "text", {}, [], [[]], { 0: 4 }])
  ]

  const spoilt = (body: Uint8Array): Uint8Array => {
    const copy = body.slice(0, below(4) === 0 ? 1 + below(body.length) : body.length)
    for (let count = below(3); count >= 0; count--) copy[below(Math.min(copy.length, 24))] = below(256)
    return below(8) === 0 ? framed(copy, below(2 ** 32)) : framed(copy)
  }

  const next = (): Value | undefined => {
    const reply = replies.shift()
    if (reply !== undefined) return reply
    const call = [...calls.values()][below(calls.size)]
    const more = call?.answer.next()
    if (call === undefined || more === undefined) return undefined
    if (more.done === true) calls.delete(call.id)
    return more.done === true ? undefined : more.value
  }

  /** Counts what goes out, true or not: the host may make use of it. */
  const count = (body: Uint8Array): void => {
    const value = Either.getOrUndefined(decode(body))
    if (!Array.isArray(value)) return
    const [kind, id, first, second]: ReadonlyArray<unknown> = value
    const call = typeof id === "number" ? calls.get(id) : undefined
    if (call === undefined) return
    if (kind === kinds.credit && typeof second === "number") call.granted += second
    if (kind === kinds.data && (first === 1 || first === 2) && second instanceof Uint8Array) {
      call.welcome[first] -= second.length
    }
  }

  const frames = (): ReadonlyArray<Uint8Array> => {
    if (!greeted && !isOneIn(wickedness.lies)) {
      greeted = true
    } else if (isOneIn(wickedness.lies)) {
      if (below(6) === 0) return [someBytes(100)]
      const lie = pick(lies)
      // Now and then a flood of it.
      return Array.from({ length: below(10) === 0 ? 200 : 1 }, () => framed(encode(lie())))
    }
    const message = next()
    if (message === undefined) return []
    const body = encode(message)
    return [isOneIn(wickedness.spoils) ? spoilt(body) : framed(body)]
  }

  return {
    bytes: said,
    write: (bytes) =>
      Effect.suspend(() => {
        if (hears === "refuses") return gone
        if (hears === "hangs") return Effect.never
        const bodies = Either.getOrUndefined(splitter.feed(bytes))
        if (bodies === undefined) faults.push("it sent what is no frame")
        for (const body of bodies ?? []) hear(Either.getOrUndefined(decode(body)))
        return Effect.void
      }),
    speak: Effect.suspend(() => {
      const all = frames()
      for (const frame of all) count(frame.subarray(4))
      const bytes = Buffer.concat(all)
      const pieces = below(3) === 0 && bytes.length < 10_000 ? cut(bytes) : [bytes]
      return Effect.forEach(pieces, (piece) => said.offer(piece), { discard: true })
    }),
    turnAway: (how) => {
      hears = how
    },
    hangUp: Effect.asVoid(said.end),
    faults
  } satisfies HostileAgent
})

const ordinary = { type: "file", mode: 0o755, seconds: 1000, target: nothing } as const

const archives: readonly [Hostile, ...ReadonlyArray<Hostile>] = [
  hostile["a device"],
  ...Object.values<Hostile>(hostile)
]
