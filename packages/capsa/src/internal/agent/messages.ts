/** The messages of the protocol, as docs/AGENT-PROTOCOL.md tells them. */
import * as Schema from "effect/Schema"
import type { Value } from "./msgpack.ts"

/** Versions of the protocol that this side speaks. */
export const versions = { lowest: 1, highest: 1 } as const

/** What the agent may send of each output before it is told that more is welcome. */
export const outputWindow = 256 * 1024
/** The largest body of a frame. */
export const frameBytesMax = 64 * 1024
/** The largest piece of data in a frame. */
export const dataBytesMax = 32 * 1024 - 64

export const channels = { input: 0, output: 1, error: 2 } as const

const kinds = {
  hello: 0,
  ping: 1,
  pong: 2,
  open: 3,
  data: 4,
  end: 5,
  credit: 6,
  drop: 7,
  signal: 8,
  resize: 9,
  cancel: 10,
  started: 11,
  exit: 12,
  result: 13,
  failed: 14,
  fault: 15
} as const

/** Whom a signal is for: the process, its group, or everything that it started. */
export const signalScopes = { process: 0, group: 1, tree: 2 } as const

export const toGuest = {
  hello: (lowest: number = versions.lowest, highest: number = versions.highest): Value => [
    kinds.hello,
    "capsa",
    lowest,
    highest,
    { window: outputWindow }
  ],
  ping: (token: number): Value => [kinds.ping, token],
  open: (id: number, method: string, params: Value): Value => [kinds.open, id, method, params],
  data: (id: number, bytes: Uint8Array): Value => [kinds.data, id, channels.input, bytes],
  end: (id: number): Value => [kinds.end, id, channels.input],
  credit: (id: number, channel: number, bytes: number): Value => [kinds.credit, id, channel, bytes],
  drop: (id: number, channel: number): Value => [kinds.drop, id, channel],
  signal: (id: number, signal: number, scope: number): Value => [kinds.signal, id, signal, scope],
  resize: (id: number, columns: number, rows: number): Value => [kinds.resize, id, columns, rows],
  cancel: (id: number): Value => [kinds.cancel, id]
}

const Count = Schema.NonNegativeInt
const Output = Schema.Literal(channels.output, channels.error)
const Amount = Schema.NullOr(Count)

/** How a greeting begins, in all versions. */
export const AnyHello = Schema.Tuple(
  [Schema.Literal(kinds.hello), Schema.Literal("capsa"), Count, Count],
  Schema.Unknown
)

/** Newer versions may add settings, and members behind them. */
export const Hello = Schema.Tuple(
  [
    Schema.Literal(kinds.hello),
    Schema.Literal("capsa"),
    Count,
    Count,
    Schema.Struct({ agent: Schema.String, window: Schema.Int.pipe(Schema.positive()) })
  ],
  Schema.Unknown
)

/** The agent gives the connection up. */
export const Fault = Schema.Tuple(Schema.Literal(kinds.fault), Schema.String, Schema.String)

/** Why a call failed. */
export const GuestFailure = Schema.Struct({
  reason: Schema.Literal("Invalid", "Busy", "Unstartable", "File", "Unsafe", "Start", "Died"),
  step: Schema.optional(Schema.String),
  errno: Schema.optional(Schema.String),
  subject: Schema.optional(Schema.String)
})
export type GuestFailure = typeof GuestFailure.Type

const tagged = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, fields)

/** What the agent says once it has greeted, with names for its members. */
export const FromGuest = Schema.Union(
  tagged("Pong", { token: Count }),
  tagged("Data", { id: Count, channel: Output, bytes: Schema.Uint8ArrayFromSelf }),
  tagged("End", { id: Count, channel: Output }),
  tagged("Credit", { id: Count, channel: Schema.Literal(channels.input), bytes: Count }),
  tagged("Drop", { id: Count, channel: Schema.Literal(channels.input) }),
  tagged("Started", { id: Count, pid: Count }),
  tagged("Exit", { id: Count, code: Amount, signal: Amount, written: Amount, writtenError: Amount }),
  tagged("Result", { id: Count, value: Schema.Unknown }),
  tagged("Failed", { id: Count, failure: GuestFailure }),
  tagged("Fault", { code: Schema.String, text: Schema.String })
)
export type FromGuest = typeof FromGuest.Type

/** The names of the members after the kind. */
const members: Readonly<Record<number, readonly [tag: FromGuest["_tag"], ...names: ReadonlyArray<string>]>> = {
  [kinds.pong]: ["Pong", "token"],
  [kinds.data]: ["Data", "id", "channel", "bytes"],
  [kinds.end]: ["End", "id", "channel"],
  [kinds.credit]: ["Credit", "id", "channel", "bytes"],
  [kinds.drop]: ["Drop", "id", "channel"],
  [kinds.started]: ["Started", "id", "pid"],
  [kinds.exit]: ["Exit", "id", "code", "signal", "written", "writtenError"],
  [kinds.result]: ["Result", "id", "value"],
  [kinds.failed]: ["Failed", "id", "failure"],
  [kinds.fault]: ["Fault", "code", "text"]
}

const decode = Schema.decodeUnknownEither(FromGuest)

/** A message that came, checked. */
export const fromGuest = (message: unknown) => {
  const [kind, ...rest]: ReadonlyArray<unknown> = Array.isArray(message) ? message : []
  const [tag, ...names] = members[Number(kind)] ?? ["none"]
  return decode({
    _tag: rest.length === names.length ? tag : "of the wrong length",
    ...Object.fromEntries(names.map((name, index) => [name, rest[index]]))
  })
}

/** A message's kind in words, whatever it is. */
export const kindOf = (message: unknown): string => {
  const kind: unknown = Array.isArray(message) ? message[0] : undefined
  return typeof kind === "number" ? `kind ${kind}` : "no kind"
}
