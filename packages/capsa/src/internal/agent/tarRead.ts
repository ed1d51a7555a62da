/** Archives in a stream: what POSIX has (pax), and the long names of GNU tar. All of it is hostile. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { blockBytes, nothing, type TarEntry } from "./tarWrite.ts"

/** What is no archive. `why` is a clause. */
export class BadArchive extends Data.TaggedError("BadArchive")<{ readonly why: string }> {}

/** In order: an entry, its content if it is a file, the end of the entry; and so on, then the end of the archive. */
export type TarEvent =
  | { readonly _tag: "Entry"; readonly entry: TarEntry }
  | { readonly _tag: "Content"; readonly bytes: Uint8Array }
  | { readonly _tag: "EntryEnd" }
  | { readonly _tag: "End" }

export interface TarReader {
  /** After a failure it is of no more use. */
  readonly feed: (piece: Uint8Array) => Either.Either<ReadonlyArray<TarEvent>, BadArchive>
  /** Whether the archive's end has come. */
  readonly atEnd: () => boolean
}

const pathBytesMax = 4095
/** An extended header has a few values, of which two are paths. */
const extensionBytesMax = 64 * 1024

/** What came before an entry and replaces what its header says. */
type Extension = Partial<Pick<TarEntry, "path" | "target" | "size" | "seconds">>

const bad = (why: string) => Either.left(new BadArchive({ why }))

export const make = (): TarReader => {
  const events: Array<TarEvent> = []
  let extension: Extension = {}
  // What the next bytes are: a block or an extension is gathered whole, content and padding pass.
  let state: "header" | "extension" | "content" | "padding" | "end" = "header"
  let gathered = new Uint8Array(blockBytes)
  let filled = 0
  let left = 0
  let paddingLeft = 0
  let flag = ""

  const gather = (size: number): void => {
    gathered = new Uint8Array(size)
    filled = 0
  }
  const next = (): void => {
    state = "header"
    gather(blockBytes)
  }
  const afterContent = (): void => {
    if (flag === "entry") events.push({ _tag: "EntryEnd" })
    state = "padding"
    left = paddingLeft
    if (left === 0) next()
  }
  const onExtension = (): Either.Either<void, BadArchive> =>
    Either.map(extended(extension, flag, gathered), (more) => {
      extension = more
      afterContent()
    })
  const onHeader = (): Either.Either<void, BadArchive> => {
    if (gathered.every((byte) => byte === 0)) {
      state = "end"
      events.push({ _tag: "End" })
      return Either.void
    }
    return Either.flatMap(headerIn(gathered), ({ entry, kind }) => {
      const size = extension.size ?? entry.size
      flag = kind
      if ("xgLK".includes(kind)) {
        if (entry.size > extensionBytesMax) return bad("an extended header is too long")
        state = "extension"
        paddingLeft = -entry.size & (blockBytes - 1)
        gather(entry.size)
        return entry.size === 0 ? onExtension() : Either.void
      }
      // Only files have content; some programs give links a size.
      left = entry.type === "file" || entry.type === "device" ? size : 0
      paddingLeft = -left & (blockBytes - 1)
      events.push({ _tag: "Entry", entry: { ...entry, ...extension, size: left } })
      extension = {}
      flag = "entry"
      state = "content"
      if (left === 0) afterContent()
      return Either.void
    })
  }
  const step = (piece: Uint8Array): Either.Either<number, BadArchive> => {
    if (state === "end") return Either.right(piece.length)
    if (state === "content" || state === "padding") {
      const bytes = piece.subarray(0, Math.min(left, piece.length))
      left -= bytes.length
      if (state === "content") events.push({ _tag: "Content", bytes })
      if (left === 0) state === "content" ? afterContent() : next()
      return Either.right(bytes.length)
    }
    const bytes = piece.subarray(0, gathered.length - filled)
    gathered.set(bytes, filled)
    filled += bytes.length
    const done = filled < gathered.length ? Either.void : state === "header" ? onHeader() : onExtension()
    return Either.map(done, () => bytes.length)
  }
  return {
    feed: (piece) => {
      for (let at = 0; at < piece.length; ) {
        const taken = step(piece.subarray(at))
        if (Either.isLeft(taken)) return Either.left(taken.left)
        at += taken.right
      }
      return Either.right(events.splice(0))
    },
    atEnd: () => state === "end"
  }
}

/** A text that ends with a NUL or with its field. */
const textIn = (field: Uint8Array): Uint8Array => {
  const end = field.indexOf(0)
  return field.slice(0, end < 0 ? field.length : end)
}

/** Octal digits, or, as GNU has it for what is too large, bytes; undefined if it is neither. */
const numberIn = (field: Uint8Array): number | undefined => {
  if (field[0] === 0x80) {
    const number = field.subarray(1).reduce((total, byte) => total * 256 + byte, 0)
    return Number.isSafeInteger(number) ? number : undefined
  }
  const digits = /^ *([0-7]*)(?:[ \0].*)?$/s.exec(Buffer.from(field).toString("latin1"))?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits === "" ? "0" : digits, 8)
}

const types: Readonly<Record<string, TarEntry["type"]>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  "1": "hardLink",
  "2": "link",
  "5": "folder"
}

/** A header that adds up. */
const headerIn = (block: Uint8Array) => {
  const sum = numberIn(block.subarray(148, 156))
  const total = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  const mode = numberIn(block.subarray(100, 108))
  const size = numberIn(block.subarray(124, 136))
  const seconds = numberIn(block.subarray(136, 148))
  if (sum !== total) return bad("the checksum of a header is wrong")
  if (mode === undefined || size === undefined || seconds === undefined) return bad("a header has no numbers")
  const kind = String.fromCharCode(block[156] ?? 0)
  const name = textIn(block.subarray(0, 100))
  if (name.length === 0) return bad("a header has no name")
  // The prefix is POSIX's; GNU has something else there.
  const isPosix = Buffer.from(block.subarray(257, 263)).toString("latin1") === "ustar\0"
  const prefix = isPosix ? textIn(block.subarray(345, 500)) : nothing
  const entry: TarEntry = {
    type: types[kind] ?? "device",
    mode: mode & 0o7777,
    size,
    seconds,
    path: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    target: textIn(block.subarray(157, 257))
  }
  return Either.right({ kind, entry })
}

const checkedText = (text: Uint8Array): Either.Either<Uint8Array, BadArchive> =>
  text.length === 0 || text.length > pathBytesMax || text.includes(0)
    ? bad("a name is empty, too long, or has a NUL in it")
    : Either.right(text)

/** A time may have a fraction, which is cut off. */
const decimalIn = (text: Uint8Array): number | undefined => {
  const digits = /^(-?\d+)(?:\.\d*)?$/.exec(Buffer.from(text).toString("latin1"))?.[1]
  const number = Number(digits)
  return digits !== undefined && Number.isSafeInteger(number) ? number : undefined
}

const extended = (before: Extension, flag: string, content: Uint8Array): Either.Either<Extension, BadArchive> => {
  if (flag === "L") return Either.map(checkedText(textIn(content)), (path) => ({ ...before, path }))
  if (flag === "K") return Either.map(checkedText(textIn(content)), (target) => ({ ...before, target }))
  return flag === "x" ? records(before, content) : Either.right(before)
}

/** Records "LENGTH KEY=VALUE\n". */
const records = (before: Extension, content: Uint8Array): Either.Either<Extension, BadArchive> => {
  let extension = before
  for (let at = 0; at < content.length; ) {
    const blank = content.indexOf(0x20, at)
    const length = blank < 0 ? undefined : decimalIn(content.subarray(at, blank))
    const end = at + (length ?? 0)
    const equals = content.indexOf(0x3d, blank)
    if (length === undefined || end > content.length || content[end - 1] !== 0x0a) return bad("a record has no end")
    if (equals < 0 || equals >= end) return bad("a record has no value")
    const key = Buffer.from(content.subarray(blank + 1, equals)).toString("latin1")
    const more = extensionOf(key, content.slice(equals + 1, end - 1))
    if (Either.isLeft(more)) return Either.left(more.left)
    extension = { ...extension, ...more.right }
    at = end
  }
  return Either.right(extension)
}

const extensionOf = (key: string, value: Uint8Array): Either.Either<Extension, BadArchive> => {
  if (key === "path") return Either.map(checkedText(value), (path) => ({ path }))
  if (key === "linkpath") return Either.map(checkedText(value), (target) => ({ target }))
  if (key !== "size" && key !== "mtime") return Either.right({})
  const number = decimalIn(value)
  if (number === undefined || (key === "size" && number < 0)) return bad("a record has no number")
  return Either.right(key === "size" ? { size: number } : { seconds: number })
}
