/** What does a byte of console output cost: to keep, to read again, and to look for what is expected? */
import type * as Effect from "effect/Effect"
import * as ByteRing from "../../packages/capsa/src/internal/byteRing.ts"
import * as Matcher from "../../packages/capsa/src/internal/matcher.ts"
import type { Row } from "./report.ts"
import { type Task, time } from "./timing.ts"

const kib = 1024
const history = 1024 * kib

/** Lines as a kernel prints them, in which every pattern below nearly occurs. */
const output = Buffer.alloc(256 * kib, "[    1.234567] pattern: login prompt of capsa, pass word 1\r\n")
const pieceBytes = kib
const pieces = Array.from({ length: output.length / pieceBytes }, (_, index) =>
  output.subarray(index * pieceBytes, (index + 1) * pieceBytes)
)

const filled = () => {
  const ring = ByteRing.make(history)
  for (let count = 0; count <= history / output.length; count++) ring.append(output)
  return ring
}

const append = (bytes: number): Task => {
  const ring = filled()
  const piece = output.subarray(0, bytes)
  return { name: `ring: append ${bytes} bytes`, call: () => ring.append(piece), callsInSample: 100 }
}

const read = (bytes: number): Task => {
  const ring = filled()
  return { name: `ring: read ${bytes} bytes`, call: () => ring.read(ring.start(), bytes), callsInSample: 100 }
}

const match = (patterns: ReadonlyArray<Matcher.Pattern>) => () => {
  const { feed } = Matcher.make(patterns, 0)
  for (const piece of pieces) feed(piece)
}

/** Searches all that has come, for each pattern, after each piece. */
const searchAgain = (patterns: ReadonlyArray<string>) => () => {
  for (let come = pieceBytes; come <= output.length; come += pieceBytes) {
    const all = output.subarray(0, come)
    for (const pattern of patterns) all.indexOf(pattern)
  }
}

const searchTextAgain = (pattern: RegExp) => () => {
  let text = ""
  for (const piece of pieces) {
    text += piece.toString()
    pattern.exec(text)
  }
}

const compared = (what: string, ours: () => void, theirs: () => void): ReadonlyArray<Task> => {
  const name = `matcher: 256 KiB in pieces of 1 KiB, ${what}`
  const peer = `search again: ${what}`
  return [
    { name, call: ours, peer },
    { name: peer, call: theirs }
  ]
}

const ten = Array.from({ length: 10 }, (_, index) => `pass word ${index + 2}`)
const hundred = Array.from({ length: 100 }, (_, index) => `pass word ${index + 2}`)
const regExp = /login: $/

export const rows: Effect.Effect<ReadonlyArray<Row>> = time([
  append(16),
  append(kib),
  append(64 * kib),
  read(64 * kib),
  ...compared("1 string", match(["login: "]), searchAgain(["login: "])),
  ...compared("10 strings", match(ten), searchAgain(ten)),
  ...compared("100 strings", match(hundred), searchAgain(hundred)),
  ...compared("a RegExp", match([regExp]), searchTextAgain(regExp))
])
