/** MessagePack as the agent's protocol has it: no extensions, and numbers that are safe integers. */
import { Decoder, Encoder } from "@msgpack/msgpack"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { frameBytesMax } from "./messages.ts"

export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | ReadonlyArray<Value>
  | { readonly [key: string]: Value }

/** Bytes that are not exactly one value. */
export class NotMessagePack extends Data.TaggedError("NotMessagePack")<{ readonly cause: unknown }> {}

const encoder = new Encoder({ initialBufferSize: frameBytesMax })

// A length cannot promise more than what came, and an extension has none.
const decoder = new Decoder({
  maxStrLength: frameBytesMax,
  maxBinLength: frameBytesMax,
  maxArrayLength: 1024,
  maxMapLength: 32,
  maxExtLength: 0
})

export const encode = (value: Value): Uint8Array => encoder.encode(value)

/** The value that the bytes are, all of them, not yet checked. What is bin in it is part of the bytes, not a copy. */
export const decode = (bytes: Uint8Array): Either.Either<unknown, NotMessagePack> =>
  Either.try({ try: () => decoder.decode(bytes), catch: (cause) => new NotMessagePack({ cause }) })
