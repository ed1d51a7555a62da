/**
 * The subset of MessagePack that the agent's protocol is written in: nil, booleans, integers that a double holds exactly,
 * str, bin, arrays, and maps with str keys. What the guest says is hostile: all of it is checked, and nothing is made larger
 * than what came.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"

export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | ReadonlyArray<Value>
  | { readonly [key: string]: Value }

/** Bytes that are not exactly one value of the subset. */
export class NotMessagePack extends Data.TaggedError("NotMessagePack")<{ readonly offset: number }> {}

const depthMax = 8
const mapMax = 32

const makeWriter = () => {
  let bytes = new Uint8Array(256)
  let view = new DataView(bytes.buffer)
  let length = 0

  /** Where `count` more bytes go. */
  const take = (count: number): number => {
    const at = length
    length += count
    if (length > bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * bytes.length))
      larger.set(bytes)
      bytes = larger
      view = new DataView(bytes.buffer)
    }
    return at
  }
  const byte = (value: number): void => {
    const at = take(1)
    bytes[at] = value
  }
  /** A head byte and an unsigned number of 1, 2 or 4 bytes: the least that holds it, if there is a head for that. */
  const sized = ([one, two, four]: readonly [number | undefined, number, number], value: number): void => {
    if (one !== undefined && value <= 0xff) {
      byte(one)
      byte(value)
    } else if (value <= 0xffff) {
      byte(two)
      const at = take(2)
      view.setUint16(at, value)
    } else {
      byte(four)
      const at = take(4)
      view.setUint32(at, value)
    }
  }
  return {
    byte,
    sized,
    raw: (more: Uint8Array): void => {
      const at = take(more.length)
      bytes.set(more, at)
    },
    integer: (value: number): void => {
      if (value >= -32 && value < 128) return byte(value & 0xff)
      if (value >= 0 && value <= 0xffff_ffff) return sized([0xcc, 0xcd, 0xce], value)
      byte(value < 0 ? 0xd3 : 0xcf)
      const at = take(8)
      view.setBigInt64(at, BigInt(value))
    },
    done: (): Uint8Array => bytes.subarray(0, length)
  }
}

const utf8 = new TextEncoder()

const isArray = (value: Value): value is ReadonlyArray<Value> => Array.isArray(value)

const write = (writer: ReturnType<typeof makeWriter>, value: Value): void => {
  if (value === null) writer.byte(0xc0)
  else if (typeof value === "boolean") writer.byte(value ? 0xc3 : 0xc2)
  else if (typeof value === "number") writer.integer(value)
  else if (typeof value === "string") {
    const bytes = utf8.encode(value)
    if (bytes.length < 32) writer.byte(0xa0 | bytes.length)
    else writer.sized([0xd9, 0xda, 0xdb], bytes.length)
    writer.raw(bytes)
  } else if (value instanceof Uint8Array) {
    writer.sized([0xc4, 0xc5, 0xc6], value.length)
    writer.raw(value)
  } else if (isArray(value)) {
    if (value.length < 16) writer.byte(0x90 | value.length)
    else writer.sized([undefined, 0xdc, 0xdd], value.length)
    for (const member of value) write(writer, member)
  } else {
    const entries = Object.entries(value)
    if (entries.length < 16) writer.byte(0x80 | entries.length)
    else writer.sized([undefined, 0xde, 0xdf], entries.length)
    for (const [key, member] of entries) {
      write(writer, key)
      write(writer, member)
    }
  }
}

/** The shortest form of a value; its numbers are safe integers. */
export const encode = (value: Value): Uint8Array => {
  const writer = makeWriter()
  write(writer, value)
  return writer.done()
}

// Names in a guest may be any bytes: those that are not UTF-8 come as U+FFFD. A BOM is part of a text.
const text = new TextDecoder("utf-8", { ignoreBOM: true })

const makeReader = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = 0

  const fail = (): never => {
    throw new NotMessagePack({ offset })
  }
  const take = (count: number): number => {
    const at = offset
    if (bytes.length - at < count) fail()
    offset += count
    return at
  }
  const exact = (value: bigint): number => {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : fail()
  }
  const unsigned = (width: number): number => {
    const at = take(width)
    if (width === 1) return view.getUint8(at)
    if (width === 2) return view.getUint16(at)
    return width === 4 ? view.getUint32(at) : exact(view.getBigUint64(at))
  }
  const signed = (width: number): number => {
    const at = take(width)
    if (width === 1) return view.getInt8(at)
    if (width === 2) return view.getInt16(at)
    return width === 4 ? view.getInt32(at) : exact(view.getBigInt64(at))
  }
  const bin = (length: number): Uint8Array => {
    const at = take(length)
    return bytes.subarray(at, at + length)
  }
  const str = (length: number): string => text.decode(bin(length))
  const array = (length: number, depth: number): ReadonlyArray<Value> => {
    // A length cannot promise more members than there are bytes.
    if (length > bytes.length - offset) fail()
    return Array.from({ length }, () => value(depth + 1))
  }
  const map = (length: number, depth: number): Value => {
    if (length > mapMax) fail()
    // No key means anything to an object without a prototype.
    const members: Record<string, Value> = Object.create(null)
    for (let index = 0; index < length; index++) {
      const key = value(depth + 1)
      if (typeof key !== "string" || Object.hasOwn(members, key)) return fail()
      members[key] = value(depth + 1)
    }
    return members
  }
  const value = (depth: number): Value => {
    if (depth > depthMax) fail()
    const head = unsigned(1)
    if (head < 0x80) return head
    if (head >= 0xe0) return head - 0x100
    if (head < 0x90) return map(head & 0x0f, depth)
    if (head < 0xa0) return array(head & 0x0f, depth)
    if (head < 0xc0) return str(head & 0x1f)
    return long(head, depth)
  }
  const long = (head: number, depth: number): Value => {
    switch (head) {
      case 0xc0:
        return null
      case 0xc2:
      case 0xc3:
        return head === 0xc3
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return bin(unsigned(1 << (head - 0xc4)))
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return unsigned(1 << (head - 0xcc))
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return signed(1 << (head - 0xd0))
      case 0xd9:
      case 0xda:
      case 0xdb:
        return str(unsigned(1 << (head - 0xd9)))
      case 0xdc:
      case 0xdd:
        return array(unsigned(2 << (head - 0xdc)), depth)
      case 0xde:
      case 0xdf:
        return map(unsigned(2 << (head - 0xde)), depth)
      default:
        return fail()
    }
  }
  return { whole: () => (offset < bytes.length ? fail() : undefined), value }
}

/** The value that the bytes are, all of them. What is bin in it is part of the bytes, not a copy. */
export const decode = (bytes: Uint8Array): Either.Either<Value, NotMessagePack> =>
  Either.try({
    try: () => {
      const reader = makeReader(bytes)
      const value = reader.value(1)
      reader.whole()
      return value
    },
    catch: (cause) => {
      if (cause instanceof NotMessagePack) return cause
      throw cause
    }
  })
