/** What QEMU says on its monitor: one JSON object a line (QEMU Machine Protocol Specification). */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { QmpError } from "./qmpError.ts"

/** First of all messages. */
export const Greeting = Schema.Struct({
  QMP: Schema.Struct({
    version: Schema.Struct({
      qemu: Schema.Struct({ major: Schema.Int, minor: Schema.Int, micro: Schema.Int }),
      package: Schema.String
    })
  })
})
export type Greeting = typeof Greeting.Type

const Id = Schema.optional(Schema.Int)
// A field of any type may be missing, as far as Schema is concerned.
const Present = Schema.Unknown.pipe(Schema.filter((value) => value !== undefined))
/** A command succeeded. */
export const Return = Schema.Struct({ return: Present, id: Id })
/** A command failed. One that could not be read as JSON is answered without an id. */
export const Failure = Schema.Struct({ error: Schema.Struct({ class: Schema.String, desc: Schema.String }), id: Id })
/** Something happened in the machine. */
export const Event = Schema.Struct({
  event: Schema.String,
  data: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
})
export type Event = typeof Event.Type

export const Message = Schema.Union(Greeting, Return, Failure, Event)
export type Message = typeof Message.Type

/** Longest line that is taken for a message. What we ask for is answered in far less. */
export const lineBytesMax = 1024 * 1024

const decodeMessage = Schema.decodeEither(Schema.parseJson(Message))
const newline = 0x0a
const carriageReturn = 0x0d
const space = 0x20

/** Reads one line, without its newline. */
export const decodeLine = (line: Uint8Array): Either.Either<Message, QmpError> =>
  Either.try(() => new TextDecoder("utf-8", { fatal: true }).decode(line)).pipe(
    Either.flatMap(decodeMessage),
    Either.mapLeft((cause) => garbage(`Not a message of QMP: ${excerpt(line)}`, cause))
  )

/** Cuts bytes at newlines, however they were chunked; a line cut off by the end is dropped. Fails at a line too long. */
export const lines = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E | QmpError, R> =>
  Stream.suspend(() => Stream.mapConcatEffect(bytes, cutter()))

/** The messages in a stream of bytes; fails at the first thing that is none. */
export const messages = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Message, E | QmpError, R> =>
  lines(bytes).pipe(
    Stream.filter((line) => !line.every((byte) => byte === space || byte === carriageReturn)),
    Stream.mapEffect(decodeLine)
  )

const cutter = () => {
  let parts: Array<Uint8Array> = []
  let size = 0
  return (chunk: Uint8Array): Either.Either<ReadonlyArray<Uint8Array>, QmpError> => {
    const found: Array<Uint8Array> = []
    for (let start = 0; start < chunk.byteLength; ) {
      const end = chunk.indexOf(newline, start)
      const part = chunk.subarray(start, end < 0 ? undefined : end)
      size += part.byteLength
      if (size > lineBytesMax) return Either.left(garbage(`A line is longer than ${lineBytesMax} bytes.`))
      parts.push(part)
      if (end < 0) break
      found.push(Buffer.concat(parts))
      parts = []
      size = 0
      start = end + 1
    }
    return Either.right(found)
  }
}

const excerpt = (line: Uint8Array): string => JSON.stringify(new TextDecoder().decode(line.subarray(0, 80)))

const garbage = (detail: string, cause?: unknown): QmpError => new QmpError({ reason: "Garbage", detail, cause })
