/** The messages in native/test/guest/vectors.txt, which the agent is tested with, too: they mean what stands there. */
import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { Fault, fromGuest, Hello, toGuest } from "../src/internal/agent/messages.ts"
import { decode, encode, type Value } from "../src/internal/agent/msgpack.ts"

interface Vector {
  readonly direction: string
  readonly name: string
  readonly bytes: Uint8Array
  readonly meaning: Value
}

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"))

const withBytes = (_key: string, value: unknown) =>
  typeof value === "string" && value.startsWith("hex:") ? bytesOf(value.slice("hex:".length)) : value

const vectors: ReadonlyArray<Vector> = readFileSync(
  join(import.meta.dir, "../../../native/test/guest/vectors.txt"),
  "utf8"
)
  .split("\n")
  .flatMap((line) => {
    const [, direction, name, hex, json] = /^([<>=~]) (\S+) ([0-9a-f]+) (.*)$/.exec(line) ?? []
    if (direction === undefined || name === undefined || hex === undefined || json === undefined) return []
    return [{ direction, name, bytes: bytesOf(hex), meaning: JSON.parse(json, withBytes) }]
  })

const of = (...directions: ReadonlyArray<string>) => vectors.filter(({ direction }) => directions.includes(direction))

/** The host's messages, said again. */
const said: Readonly<Record<string, Value>> = {
  hello: toGuest.hello(),
  ping: toGuest.ping(300),
  "open-spawn": toGuest.open(1, "spawn", { argv: ["cat", "größe"], stdin: true }),
  data: toGuest.data(1, new TextEncoder().encode("input")),
  credit: toGuest.credit(1, 2, 65536),
  resize: toGuest.resize(1, 132, 43),
  signal: toGuest.signal(1, 15, 2),
  drop: toGuest.drop(1, 2),
  end: toGuest.end(1),
  cancel: toGuest.cancel(1),
  "open-stat": toGuest.open(2, "stat", { path: "/etc" }),
  "open-read": toGuest.open(3, "read", { path: "/none" }),
  "open-none": toGuest.open(4, "none", {}),
  "open-shutdown": toGuest.open(5, "shutdown", { graceMs: 2500 })
}

/** What the agent's messages are taken for, by the first word of their name. */
const tags: Readonly<Record<string, string>> = {
  pong: "Pong",
  started: "Started",
  data: "Data",
  credit: "Credit",
  end: "End",
  drop: "Drop",
  exit: "Exit",
  result: "Result",
  failed: "Failed",
  fault: "Fault"
}

describe("MessagePack", () => {
  test("bytes mean what stands there, and no part of them does", () => {
    expect(vectors.length).toBeGreaterThan(50)
    for (const { bytes, meaning } of vectors) {
      expect(Either.getOrThrow(decode(bytes))).toEqual(meaning)
      for (let length = 0; length < bytes.length; length++)
        expect(Either.isLeft(decode(bytes.subarray(0, length)))).toBe(true)
      expect(Either.isLeft(decode(Uint8Array.of(...bytes, 0xc0)))).toBe(true)
    }
  })

  test("values are written as the agent writes them", () => {
    for (const { bytes, meaning } of of("=")) expect(encode(meaning)).toEqual(bytes)
  })
})

describe("messages", () => {
  test("the host says each as it stands there", () => {
    expect(of(">").map(({ name }) => name)).toEqual(Object.keys(said))
    for (const { name, bytes } of of(">")) expect(encode(said[name] ?? null)).toEqual(bytes)
  })

  test("each of the agent's is taken for what it is", () => {
    const told = of("<").filter(({ name }) => name !== "hello")
    const kinds = new Set(told.map(({ name }) => name.split("-")[0]))
    expect([...kinds].sort()).toEqual(Object.keys(tags).sort())
    for (const { name, bytes } of told) {
      const message = Either.getOrThrow(fromGuest(Either.getOrThrow(decode(bytes))))
      expect<string | undefined>(message._tag).toBe(tags[name.split("-")[0] ?? ""])
    }
  })

  test("none is taken for one with a member more or less", () => {
    for (const { name, meaning } of of("<")) {
      if (name === "hello" || !Array.isArray(meaning)) continue
      expect(Either.isLeft(fromGuest(meaning.slice(0, -1)))).toBe(true)
      expect(Either.isLeft(fromGuest([...meaning, null]))).toBe(true)
    }
  })

  test("greeting and fault are known before the greeting", () => {
    const meaning = (wanted: string) => of("<").find(({ name }) => name === wanted)?.meaning
    expect(Either.isRight(Schema.decodeUnknownEither(Hello)(meaning("hello")))).toBe(true)
    expect(Either.isRight(Schema.decodeUnknownEither(Fault)(meaning("fault")))).toBe(true)
  })
})
