/** A client of QEMU's monitor. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Connection } from "./connection.ts"
import { QmpError } from "./qmpError.ts"
import { type Event, type Greeting, type Message, messages } from "./qmpMessage.ts"

export interface Qmp {
  /** What QEMU introduces itself with. */
  readonly greeting: Effect.Effect<Greeting, QmpError>
  /** Gives a command and reads its result; any number may be under way. */
  readonly execute: <A, I>(
    command: string,
    result: Schema.Schema<A, I>,
    arguments_?: Readonly<Record<string, unknown>>
  ) => Effect.Effect<A, QmpError>
  /** Why the talk is over, once it is: `Closed` or `Garbage`. */
  readonly ended: Effect.Effect<QmpError>
}

/** A QEMU that is slower than this is taken for hung. It takes milliseconds; seconds where the host is itself emulated. */
const replyTimeout = "30 seconds"

/** Talks over `connection` until the scope closes. `onEvent` is run for each event before the next message is read. */
export const make = Effect.fnUntraced(function* (
  connection: Connection,
  onEvent: (event: Event) => Effect.Effect<void>
) {
  const greeting = yield* Deferred.make<Greeting, QmpError>()
  const ended = yield* Deferred.make<QmpError>()
  const waiting = new Map<number, Deferred.Deferred<unknown, QmpError>>()
  let commands = 0

  const settle = (id: number | undefined, outcome: Effect.Effect<unknown, QmpError>) => {
    const reply = id === undefined ? undefined : waiting.get(id)
    // An answer nobody waits for is one that came too late.
    return reply === undefined ? Effect.void : Deferred.complete(reply, outcome)
  }
  const receive = (message: Message): Effect.Effect<unknown> => {
    if ("QMP" in message) return Deferred.succeed(greeting, message)
    if ("event" in message) return onEvent(message)
    if ("error" in message) return settle(message.id, Effect.fail(refused(message.error)))
    return settle(message.id, Effect.succeed(message.return))
  }
  const end = (error: QmpError) =>
    Effect.suspend(() => {
      const replies = [...waiting.values()]
      return Deferred.succeed(ended, error).pipe(
        Effect.zipRight(Deferred.fail(greeting, error)),
        Effect.zipRight(Effect.forEach(replies, (reply) => Deferred.fail(reply, error), { discard: true }))
      )
    })

  yield* messages(connection.bytes).pipe(
    Stream.runForEach(receive),
    Effect.matchEffect({ onFailure: end, onSuccess: () => end(closed()) }),
    Effect.forkScoped
  )

  const execute = Effect.fnUntraced(function* <A, I>(
    command: string,
    result: Schema.Schema<A, I>,
    arguments_?: Readonly<Record<string, unknown>>
  ) {
    const id = commands++
    const reply = yield* Deferred.make<unknown, QmpError>()
    const answer = yield* Effect.acquireUseRelease(
      Effect.sync(() => waiting.set(id, reply)),
      () =>
        send(connection, { execute: command, arguments: arguments_, id }).pipe(
          Effect.zipRight(Effect.raceFirst(Deferred.await(reply), Effect.flip(Deferred.await(ended)))),
          Effect.timeoutFail({ duration: replyTimeout, onTimeout: () => timeout(command) })
        ),
      () => Effect.sync(() => waiting.delete(id))
    )
    return yield* Effect.mapError(Schema.decodeUnknown(result)(answer), (cause) => unexpected(command, cause))
  })

  return {
    greeting: Effect.timeoutFail(Deferred.await(greeting), {
      duration: replyTimeout,
      onTimeout: () => timeout("the greeting")
    }),
    execute,
    ended: Deferred.await(ended)
  } satisfies Qmp
})

interface Command {
  readonly execute: string
  readonly arguments: Readonly<Record<string, unknown>> | undefined
  readonly id: number
}

const send = (connection: Connection, command: Command) =>
  Effect.mapError(connection.write(Buffer.from(`${JSON.stringify(command)}\n`)), closed)

const closed = () => new QmpError({ reason: "Closed", detail: "QEMU closed its monitor." })

const refused = (error: { readonly class: string; readonly desc: string }) =>
  new QmpError({ reason: "Refused", detail: `QEMU refused: ${error.desc} (${error.class})` })

const timeout = (what: string) =>
  new QmpError({ reason: "Timeout", detail: `QEMU did not answer within ${replyTimeout}: ${what}.` })

const unexpected = (command: string, cause: unknown) =>
  new QmpError({ reason: "Garbage", detail: `QEMU answered ${command} in a form of its own.`, cause })
