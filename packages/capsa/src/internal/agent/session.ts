/** One connection to an agent: its greeting, and many calls at once. */
import { type Channel, SandboxError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import { disconnected, outOfProtocol, tooLong, unresponsive } from "./failures.ts"
import { frameOf, makeSplitter } from "./frames.ts"
import { type Greeted, greetedBy, noAgent, quoted, type Versions } from "./greeting.ts"
import { type FromGuest, fromGuest, kindOf, toGuest, versions } from "./messages.ts"
import { decode, type Value } from "./msgpack.ts"

/** What the agent says about a call. */
export type AboutCall = Exclude<FromGuest, { readonly _tag: "Pong" | "Fault" }>

/** Is told what happens to a call, in no time and without fail. */
export interface Listener {
  /** Gives what is wrong with the message, if so: a clause after "The agent". */
  readonly on: (message: AboutCall) => string | undefined
  readonly lost: (error: SandboxError) => void
}

/** A call that was opened. What is posted goes out before data that waits. */
export interface Line {
  readonly post: (message: (id: number) => Value) => void
  /** Sends in order; waits while the guest does not read. */
  readonly send: (message: (id: number) => Value) => Effect.Effect<void, SandboxError>
  /** Nothing that the agent says about it matters any more. */
  readonly forget: () => void
}

export interface Session {
  /** The agent's version. */
  readonly version: string
  /** What a process that does not read may be sent. */
  readonly inputWindow: number
  readonly open: (method: string, params: Value, listener: Listener) => Effect.Effect<Line, SandboxError>
  /** How long the agent takes to answer. */
  readonly ping: Effect.Effect<Duration.Duration, SandboxError>
  /** Completes when the connection is over, with the reason. */
  readonly lost: Effect.Effect<SandboxError>
}

export interface SessionOptions {
  /** Whether the machine stands still, so that its silence means nothing. */
  readonly paused?: Effect.Effect<boolean> | undefined
  /** For metrics. */
  readonly backend?: string | undefined
  /** Versions that this side speaks, if not all that it can. */
  readonly versions?: Versions | undefined
}

/** How often silence is looked at, while there are calls. */
const silenceCheck = "20 seconds"
/** That often in a row, and the agent is lost. */
const silencesMax = 3

/** Frames of data that wait to be written. */
const dataFramesMax = 4

/** Greets the agent at the other end of a channel. The connection belongs to the scope. */
export const make = Effect.fn("Agent.greet")(function* (channel: Channel, options: SessionOptions = {}) {
  const over = yield* Deferred.make<SandboxError>()
  const greeted = yield* Deferred.make<Greeted, SandboxError>()
  const calls = new Map<number, Listener>()
  const pongs = new Map<number, Deferred.Deferred<void, SandboxError>>()
  const busy = yield* Effect.makeLatch(false)
  const spoken = options.versions ?? versions
  const outbox = yield* makeOutbox(channel)
  let state: "greeting" | "open" | "lost" = "greeting"
  let protocol = spoken.highest
  let heard = 0
  let lastId = 0
  let lastToken = 0

  const lose = (error: SandboxError): void => {
    if (state === "lost") return
    state = "lost"
    Deferred.unsafeDone(over, Effect.succeed(error))
    Deferred.unsafeDone(greeted, Effect.fail(error))
    for (const pong of pongs.values()) Deferred.unsafeDone(pong, Effect.fail(error))
    for (const { lost } of calls.values()) lost(error)
    calls.clear()
    busy.unsafeClose()
    outbox.close()
  }

  const onGreeting = (message: unknown): SandboxError | undefined => {
    const told = greetedBy(message, spoken)
    if (Either.isLeft(told)) return told.left
    protocol = told.right.protocol
    state = "open"
    Deferred.unsafeDone(greeted, Effect.succeed(told.right))
    return undefined
  }

  const onMessage = (value: unknown): SandboxError | undefined => {
    const message = fromGuest(value)
    if (Either.isLeft(message)) {
      return outOfProtocol(`sent a message of ${kindOf(value)} as version ${protocol} of the protocol has none`)
    }
    const told = message.right
    if (told._tag === "Fault") return given(told.text)
    if (told._tag === "Pong") {
      const pong = pongs.get(told.token)
      if (pong !== undefined) Deferred.unsafeDone(pong, Effect.void)
      return undefined
    }
    if (told.id > lastId) return outOfProtocol("spoke of a call that there was not")
    const fault = calls.get(told.id)?.on(told)
    return fault === undefined ? undefined : outOfProtocol(fault)
  }

  const onBody = (body: Uint8Array): SandboxError | undefined => {
    const value = decode(body)
    if (Either.isLeft(value)) return outOfProtocol("sent what is no MessagePack")
    heard++
    return state === "open" ? onMessage(value.right) : onGreeting(value.right)
  }

  const splitter = makeSplitter()
  const onPiece = (piece: Uint8Array): void => {
    if (state === "lost") return
    const bodies = splitter.feed(piece)
    if (Either.isLeft(bodies)) {
      const { length } = bodies.left
      lose(state === "open" ? outOfProtocol(`sent a frame of ${length} bytes`) : noAgent(length, spoken))
      return
    }
    for (const body of bodies.right) {
      const error = onBody(body)
      if (error !== undefined) {
        lose(error)
        return
      }
    }
  }

  const reading = Stream.runForEach(channel.bytes, (piece) => Effect.sync(() => onPiece(piece))).pipe(
    Effect.ensuring(Effect.sync(() => lose(splitter.atEdge() ? disconnected : cutOff)))
  )
  yield* Effect.forkScoped(reading)
  // What was said before the guest took no more has still to be heard: the end of the bytes follows.
  yield* Effect.forkScoped(Effect.ensuring(outbox.writing, Effect.sync(outbox.close)))
  yield* Effect.forkScoped(
    watchSilence({
      busy: busy.await,
      heard: () => heard,
      paused: options.paused ?? Effect.succeed(false),
      ask: () => outbox.post(toGuest.ping(++lastToken)),
      lose: () => lose(unresponsive)
    })
  )
  outbox.post(toGuest.hello(spoken.lowest, spoken.highest))
  const { agent, window } = yield* Deferred.await(greeted)

  const restIfIdle = (): void => {
    if (calls.size === 0 && pongs.size === 0) busy.unsafeClose()
  }
  const failed = Effect.flip(Deferred.await(over))

  const open: Session["open"] = (method, params, listener) =>
    Effect.suspend(() => {
      if (state === "lost") return failed
      const id = ++lastId
      const frame = frameOf(toGuest.open(id, method, params))
      if (frame === undefined) return Effect.fail(tooLong)
      calls.set(id, listener)
      busy.unsafeOpen()
      outbox.postFrame(frame)
      const forget = () => {
        calls.delete(id)
        restIfIdle()
      }
      return Effect.succeed<Line>({
        post: (message) => outbox.post(message(id)),
        send: (message) => Effect.flatMap(outbox.send(message(id)), (sent) => (sent ? Effect.void : failed)),
        forget
      })
    })

  const ask = Effect.suspend(() => {
    if (state === "lost") return failed
    const pong = Deferred.unsafeMake<void, SandboxError>(FiberId.none)
    const token = ++lastToken
    pongs.set(token, pong)
    busy.unsafeOpen()
    outbox.post(toGuest.ping(token))
    return Effect.ensuring(
      Deferred.await(pong),
      Effect.sync(() => {
        pongs.delete(token)
        restIfIdle()
      })
    )
  })
  const ping = Effect.map(Effect.timed(ask), ([time]) => time)

  return { version: agent, inputWindow: window, open, ping, lost: Deferred.await(over) } satisfies Session
})

/** What is to be written: short messages first, data in order behind them. */
const makeOutbox = Effect.fnUntraced(function* (channel: Channel) {
  const posted: Array<Uint8Array> = []
  const data: Array<Uint8Array> = []
  const something = yield* Effect.makeLatch(false)
  const room = yield* Effect.makeLatch(true)
  let closed = false

  const postFrame = (frame: Uint8Array): void => {
    posted.push(frame)
    something.unsafeOpen()
  }
  const post = (message: Value): void => {
    const frame = frameOf(message)
    if (frame !== undefined) postFrame(frame)
  }
  /** Whether it will be written. */
  const send = (message: Value): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (closed) return Effect.succeed(false)
      if (data.length >= dataFramesMax) {
        room.unsafeClose()
        return Effect.zipRight(room.await, send(message))
      }
      const frame = frameOf(message)
      if (frame !== undefined) data.push(frame)
      something.unsafeOpen()
      return Effect.succeed(true)
    })
  const close = (): void => {
    closed = true
    room.unsafeOpen()
  }
  const writeNext = Effect.suspend(() => {
    const short = posted.shift()
    if (short !== undefined) return channel.write(short)
    const long = data.shift()
    if (long !== undefined) {
      room.unsafeOpen()
      return channel.write(long)
    }
    something.unsafeClose()
    return something.await
  })
  // A channel that takes no more ends it.
  const writing = Effect.ignore(Effect.forever(writeNext))
  return { post, postFrame, send, writing, close }
})

/** Asks when nothing was heard for a while, and gives up after a few times. */
const watchSilence = Effect.fnUntraced(function* (watch: {
  readonly busy: Effect.Effect<void>
  readonly heard: () => number
  readonly paused: Effect.Effect<boolean>
  readonly ask: () => void
  readonly lose: () => void
}) {
  let silences = 0
  let before = 0
  for (;;) {
    yield* watch.busy
    yield* Effect.sleep(silenceCheck)
    const quiet = watch.heard() === before && !(yield* watch.paused)
    before = watch.heard()
    silences = quiet ? silences + 1 : 0
    if (silences === silencesMax) return watch.lose()
    if (quiet) watch.ask()
  }
})

const cutOff = new SandboxError({
  reason: "Disconnected",
  detail: "The connection to the agent ended in the middle of a message.",
  hint: "`vm.wait` tells how the machine ended, if it did. Launch another."
})

/** The agent has given up, and says why. */
const given = (text: string): SandboxError =>
  new SandboxError({
    reason: "Protocol",
    detail: `The agent ended the connection, and says: ${quoted(text)}.`,
    hint: "The agent in the guest may be another version than this library: use guest images built by this version."
  })
