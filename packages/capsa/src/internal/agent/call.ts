/** A call, with its streams: bytes flow as fast as who reads them. */
import { SandboxError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import { disconnected, fromGuest, inputClosed } from "./failures.ts"
import { channels, dataBytesMax, outputWindow, toGuest } from "./messages.ts"
import type { Value } from "./msgpack.ts"
import type { AboutCall, Line, Listener, Session } from "./session.ts"

/** How a call ended. */
export type Outcome = Extract<AboutCall, { readonly _tag: "Exit" | "Result" }>

export interface CallInput {
  /** Waits while the guest does not read; fails with `InputClosed` when it will not. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, SandboxError>
  /** There is no more. */
  readonly end: Effect.Effect<void, SandboxError>
}

export interface Call {
  /** Its process has become the program: the process's id. */
  readonly started: Effect.Effect<number, SandboxError>
  /** Each is to be consumed once; one that is left before its end is closed. */
  readonly outputs: readonly [Stream.Stream<Uint8Array, SandboxError>, Stream.Stream<Uint8Array, SandboxError>]
  /** Completes when both outputs have ended, of a call whose outputs are taken. */
  readonly taken: Effect.Effect<void, SandboxError>
  readonly input: CallInput
  readonly outcome: Effect.Effect<Outcome, SandboxError>
  readonly signal: (signal: number, scope: number) => Effect.Effect<void>
  readonly resize: (columns: number, rows: number) => Effect.Effect<void>
}

export interface CallOptions {
  /** Outputs end with what the program itself has written, whoever else still has them open. */
  readonly untilExit?: boolean | undefined
  /** Takes what comes of each output, at once and without fail; nothing comes by the streams then. */
  readonly takers?: readonly [Taker, Taker] | undefined
}

export type Taker = (bytes: Uint8Array) => void

/** Makes a call, which belongs to the scope: one that has not ended when that closes is killed. */
export const make = Effect.fnUntraced(function* (
  session: Session,
  method: string,
  params: Value,
  { untilExit = false, takers }: CallOptions = {}
) {
  const started = yield* Deferred.make<number, SandboxError>()
  const outcome = yield* Deferred.make<Outcome, SandboxError>()
  let line: Line | undefined
  const post = (message: (id: number) => Value) => line?.post(message)
  const outputs = [
    yield* makeOutput(channels.output, post, takers?.[0]),
    yield* makeOutput(channels.error, post, takers?.[1])
  ] as const
  const input = yield* makeInput(session.inputWindow, () => line)
  let ended = false

  const outputOf = (channel: 1 | 2) => outputs[channel === channels.output ? 0 : 1]
  const finish = (exit: Exit.Exit<Outcome, SandboxError>): void => {
    ended = true
    Deferred.unsafeDone(outcome, exit)
    if (Exit.isSuccess(exit)) {
      input.close()
      return
    }
    const failure = Exit.failCause(exit.cause)
    Deferred.unsafeDone(started, failure)
    input.close(failure)
    for (const output of outputs) output.end(failure)
  }
  const on = (message: AboutCall): string | undefined => {
    switch (message._tag) {
      case "Started":
        Deferred.unsafeDone(started, Effect.succeed(message.pid))
        return undefined
      case "Data":
        return outputOf(message.channel).receive(message.bytes)
      case "End":
        return outputOf(message.channel).end(Exit.void)
      case "Credit":
        return input.grant(message.bytes)
      case "Drop":
        return void input.close()
      case "Failed":
        return void finish(Exit.fail(fromGuest(message.failure)))
      default:
        if (ended) return "ended a call twice"
        finish(Exit.succeed(message))
        if (message._tag === "Exit" && untilExit) {
          outputs[0].endAfter(message.written)
          outputs[1].endAfter(message.writtenError)
        }
        return undefined
    }
  }
  const listener: Listener = { on, lost: (error) => finish(Exit.fail(error)) }
  yield* Effect.acquireRelease(
    Effect.tap(session.open(method, params, listener), (opened) =>
      Effect.sync(() => {
        line = opened
      })
    ),
    ({ forget, post }) =>
      Effect.sync(() => {
        if (!ended) post(toGuest.cancel)
        for (const output of outputs) output.drop(Exit.fail(left))
        finish(Exit.fail(left))
        forget()
      })
  )
  return {
    started: Deferred.await(started),
    outputs: [outputs[0].stream, outputs[1].stream],
    taken: Effect.zipRight(outputs[0].taken, outputs[1].taken),
    input: { write: input.write, end: input.end },
    outcome: Deferred.await(outcome),
    signal: (signal, scope) => Effect.sync(() => post((id) => toGuest.signal(id, signal, scope))),
    resize: (columns, rows) => Effect.sync(() => post((id) => toGuest.resize(id, columns, rows)))
  } satisfies Call
})

/** For who still holds something of a call whose scope has closed. */
const left = new SandboxError({
  ...disconnected,
  detail: "The scope of this process has closed, and it was killed if it still ran.",
  hint: "Use it inside of the scope that spawned it."
})

type Post = (message: (id: number) => Value) => void

const makeOutput = Effect.fnUntraced(function* (channel: 1 | 2, post: Post, taker?: Taker) {
  const mailbox = yield* Mailbox.make<Uint8Array, SandboxError>()
  let welcome = outputWindow
  let taken = 0
  let received = 0
  let last = Number.POSITIVE_INFINITY
  let state: "open" | "dropped" | "ended" = "open"

  const drop = (exit: Exit.Exit<void, SandboxError>): void => {
    if (state !== "open") return
    state = "dropped"
    post((id) => toGuest.drop(id, channel))
    mailbox.unsafeDone(exit)
  }
  const dropAfterLast = (): void => {
    if (received >= last) drop(Exit.void)
  }
  const take = (bytes: Uint8Array): void => {
    taken += bytes.length
    if (taken < outputWindow / 2 || state !== "open") return
    const more = taken
    taken = 0
    welcome += more
    post((id) => toGuest.credit(id, channel, more))
  }
  return {
    /** What it did wrong, if so. */
    receive: (bytes: Uint8Array): string | undefined => {
      if (bytes.length > welcome) return "sent more than was welcome"
      if (state === "ended") return "sent data after their end"
      welcome -= bytes.length
      received += bytes.length
      if (state === "open" && taker === undefined) mailbox.unsafeOffer(bytes)
      if (state === "open" && taker !== undefined) {
        taker(bytes)
        take(bytes)
      }
      dropAfterLast()
      return undefined
    },
    end: (exit: Exit.Exit<void, SandboxError>): string | undefined => {
      if (state === "ended") return "ended an output twice"
      state = "ended"
      mailbox.unsafeDone(exit)
      return undefined
    },
    /** It ends once so much has come; `null`: only by itself. */
    endAfter: (bytes: number | null): void => {
      if (bytes === null) return
      last = bytes
      dropAfterLast()
    },
    drop,
    taken: mailbox.await,
    stream: Mailbox.toStream(mailbox).pipe(
      Stream.tap((bytes) => Effect.sync(() => take(bytes))),
      Stream.ensuring(Effect.sync(() => drop(Exit.void)))
    )
  }
})

const makeInput = Effect.fnUntraced(function* (window: number, line: () => Line | undefined) {
  const turn = yield* Effect.makeSemaphore(1)
  // Open when there is something to do for a writer who waits.
  const moved = yield* Effect.makeLatch(true)
  let welcome = window
  let state: "open" | "ended" | "closed" = "open"
  let why: Exit.Exit<never, SandboxError> = Exit.fail(inputClosed)

  const writeSome = (bytes: Uint8Array): Effect.Effect<void, SandboxError> =>
    Effect.suspend(() => {
      const to = line()
      if (state !== "open" || to === undefined) return why
      if (bytes.length === 0) return Effect.void
      const count = Math.min(bytes.length, welcome, dataBytesMax)
      if (count === 0) {
        moved.unsafeClose()
        return Effect.zipRight(moved.await, writeSome(bytes))
      }
      welcome -= count
      return Effect.zipRight(
        to.send((id) => toGuest.data(id, bytes.slice(0, count))),
        writeSome(bytes.subarray(count))
      )
    })
  return {
    write: (bytes: Uint8Array) => turn.withPermits(1)(writeSome(bytes)),
    end: turn.withPermits(1)(
      Effect.suspend(() => {
        const to = line()
        if (state !== "open" || to === undefined) return Effect.void
        state = "ended"
        return to.send(toGuest.end)
      })
    ),
    grant: (bytes: number): string | undefined => {
      welcome += bytes
      if (welcome > window) return "asked for more than it can hold"
      moved.unsafeOpen()
      return undefined
    },
    close: (exit?: Exit.Exit<never, SandboxError>): void => {
      state = "closed"
      why = exit ?? why
      moved.unsafeOpen()
    }
  }
})
