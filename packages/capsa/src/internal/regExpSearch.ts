/** Looks for a RegExp in the last bytes of a stream. */
import { isUtf8 } from "node:buffer"
import type { Feed } from "./matcher.ts"

export const make = (pattern: RegExp, index: number, position: number, windowBytes: number): Feed => {
  const search = new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`)
  let window: Uint8Array = new Uint8Array(0)
  let windowStart = position

  return (bytes) => {
    window = Buffer.concat([window, bytes])
    const text = decode(window)
    // The first character of a cut window only tells `^` and `\b` that something was there.
    search.lastIndex = windowStart === position ? 0 : String.fromCodePoint(text.codePointAt(0) ?? 0).length
    const match = search.exec(text)
    if (match !== null) {
      const start = windowStart + byteLength(text.slice(0, match.index))
      const end = start + byteLength(match[0])
      return {
        index,
        start,
        end,
        groups: [match[0].toWellFormed(), ...match.slice(1).map((group) => group?.toWellFormed())]
      }
    }
    const cut = characterStart(window, window.length - windowBytes - characterBytesMax)
    window = window.subarray(cut)
    windowStart += cut
    return undefined
  }
}

const characterBytesMax = 4

/** A character of UTF-8 that takes more than a byte (RFC 3629, section 4), or a byte that is part of none. */
const wide =
  /[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}|[\x80-\xff]/g

/**
 * Bytes as text. A byte that is not UTF-8 becomes a lone surrogate of its own, as Python's `surrogateescape` has it, so
 * that nothing around it changes and the way back to positions is clear.
 */
const decode = (bytes: Uint8Array): string => {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - unfinished(bytes))
  if (isUtf8(whole)) return whole.toString("utf8")
  return whole
    .toString("latin1")
    .replace(wide, (found) =>
      found.length === 1
        ? String.fromCharCode(0xdc00 + found.charCodeAt(0))
        : Buffer.from(found, "latin1").toString("utf8")
    )
}

const loneSurrogate = /(?<![\ud800-\udbff])[\udc80-\udcff]/g

/** The number of bytes that {@link decode} made the text of. */
const byteLength = (text: string): number => {
  if (text.isWellFormed()) return Buffer.byteLength(text)
  return Buffer.byteLength(text.replace(loneSurrogate, "x"))
}

/** The number of bytes at the end that begin a character whose rest is still to come. */
const unfinished = (bytes: Uint8Array): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte >= 0xc2 && byte <= 0xf4) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0
    if (byte < 0x80 || byte > 0xbf) return 0
  }
  return 0
}

/** The first place from `offset` on that is not in the middle of a character. */
const characterStart = (bytes: Uint8Array, offset: number): number => {
  let start = Math.max(0, offset)
  while (start < bytes.length && start < offset + characterBytesMax && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++
  return start
}
