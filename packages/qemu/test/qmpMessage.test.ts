import { describe, expect, test } from "bun:test"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as Stream from "effect/Stream"
import { decodeLine, lineBytesMax, lines, messages } from "../src/internal/qmpMessage.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

/** Cuts data before each of the given places. */
const chunked = (data: Uint8Array, cuts: ReadonlyArray<number>) => {
  const places = [0, ...cuts.map((cut) => cut % (data.byteLength + 1)).sort((a, b) => a - b), data.byteLength]
  return Stream.fromIterable(places.slice(1).map((end, index) => data.slice(places[index], end)))
}
const collect = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.runSync(Effect.either(Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)))

const cuts = fc.array(fc.nat(), { maxLength: 20 })

describe("decodeLine", () => {
  const decoded = (line: string) => Either.getOrThrowWith(decodeLine(bytes(line)), (error) => error)

  test("reads what QEMU says", () => {
    expect(
      decoded(
        '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}'
      )
    ).toEqual({ QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: "Debian" } } })
    expect(decoded('{"return": {}, "id": 4}\r')).toEqual({ return: {}, id: 4 })
    expect(decoded('{"return": null}')).toEqual({ return: null })
    expect(decoded('{"id": 1, "error": {"class": "CommandNotFound", "desc": "no"}}')).toEqual({
      error: { class: "CommandNotFound", desc: "no" },
      id: 1
    })
    expect(
      decoded('{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}')
    ).toEqual({ event: "SHUTDOWN", data: { guest: true, reason: "guest-reset" } })
    expect(decoded('{"event": "RESUME"}')).toEqual({ event: "RESUME" })
  })

  test.each(["", "{", "null", "[]", "1", "{}", '{"id": 1}', '{"event": 1}', '{"error": "no"}', '{"QMP": {}}', "hello"])(
    "refuses %p",
    (line) => {
      expect(Either.getLeft(decodeLine(bytes(line)))).toMatchObject({ value: { reason: "Garbage" } })
    }
  )

  test("refuses what is not UTF-8", () => {
    const line = new Uint8Array([...bytes('{"event": "'), 0xff, ...bytes('"}')])
    expect(Either.getLeft(decodeLine(line))).toMatchObject({ value: { reason: "Garbage" } })
  })

  test("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (line) => {
        expect(Either.isEither(decodeLine(line))).toBe(true)
      })
    )
  })
})

describe("lines", () => {
  test("are the same however the bytes are chunked", () => {
    const line = fc.string({ unit: "binary" }).map((line) => line.replaceAll("\n", ""))
    fc.assert(
      fc.property(
        fc.array(line),
        fc.string().map((rest) => rest.replaceAll("\n", "")),
        cuts,
        (expected, rest, cuts) => {
          const data = bytes(`${expected.map((line) => `${line}\n`).join("")}${rest}`)
          const found = Either.getOrThrow(collect(lines(chunked(data, cuts))))
          expect(found.map(text)).toEqual(expected.map((line) => text(bytes(line))))
        }
      )
    )
  })

  const full = new Uint8Array(lineBytesMax).fill(0x20)
  const rest = [0x20, 0x0a]

  test("of the greatest length are taken", () => {
    expect(Either.isRight(collect(lines(Stream.make(full, new Uint8Array([0x0a])))))).toBe(true)
  })

  test.each([
    ["in one piece", Stream.make(new Uint8Array([...full, ...rest]))],
    ["in two", Stream.make(full, new Uint8Array(rest))],
    ["without an end", Stream.make(full, new Uint8Array([0x20]))]
  ])("of one byte more are refused: %s", (_, data) => {
    expect(collect(lines(data))).toMatchObject({ _tag: "Left", left: { reason: "Garbage" } })
  })
})

describe("messages", () => {
  test("come in order, whatever the chunks and the blank lines", () => {
    const message = fc.oneof(
      fc.record({ return: fc.integer(), id: fc.nat() }),
      fc.record({ error: fc.record({ class: fc.string(), desc: fc.string() }), id: fc.nat() }),
      fc.record({ event: fc.string() })
    )
    fc.assert(
      fc.property(fc.array(message), fc.constantFrom("\n", "\r\n", "\n\n"), cuts, (expected, end, cuts) => {
        const data = bytes(expected.map((message) => JSON.stringify(message) + end).join(""))
        expect(collect(messages(chunked(data, cuts)))).toEqual(Either.right(expected))
      })
    )
  })

  test("before garbage are told, then it fails", () => {
    const seen: Array<string> = []
    const stream = messages(Stream.make(bytes('{"event": "A"}\n'), bytes("garbage\n"), bytes('{"event": "B"}\n')))
    const result = Effect.runSync(
      Effect.either(Stream.runForEach(stream, (message) => Effect.sync(() => seen.push(JSON.stringify(message)))))
    )
    expect(result).toMatchObject({ _tag: "Left", left: { reason: "Garbage" } })
    expect(seen).toEqual(['{"event":"A"}'])
  })
})
