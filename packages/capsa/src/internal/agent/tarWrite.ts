/** Archives as POSIX has them (pax), from entries. Names are bytes, as they are in the file systems of Linux. */

export const blockBytes = 512

export interface TarEntry {
  readonly type: "file" | "hardLink" | "link" | "folder" | "device"
  readonly mode: number
  /** Of the content that follows; only files have some. */
  readonly size: number
  /** Since 1970. */
  readonly seconds: number
  readonly path: Uint8Array
  /** Where a link leads; empty for all else. */
  readonly target: Uint8Array
}

const flags: Record<TarEntry["type"], string> = { file: "0", hardLink: "1", link: "2", device: "3", folder: "5" }

const zeros = Buffer.alloc(2 * blockBytes)
export const nothing: Uint8Array = new Uint8Array()

/** The end of an archive. */
export const end: Uint8Array = zeros

/** What fills the last block after a content of so many bytes. */
export const padding = (size: number): Uint8Array => zeros.subarray(0, -size & (blockBytes - 1))

/** Zero-padded digits for a field of `width` bytes with a NUL at its end; undefined if they are too many. */
const octal = (value: number, width: number): string | undefined => {
  const digits = value < 0 ? "" : value.toString(8).padStart(width - 1, "0")
  return digits.length === width - 1 ? digits : undefined
}

const header = (flag: string, entry: Omit<TarEntry, "type">): Uint8Array => {
  const block = Buffer.alloc(blockBytes)
  // What does not fit stands in the extended header.
  block.set(entry.path.subarray(0, 100), 0)
  block.write(octal(entry.mode, 8) ?? "", 100, "latin1")
  block.write("0000000\x000000000\0", 108, "latin1")
  block.write(octal(entry.size, 12) ?? "00000000000", 124, "latin1")
  block.write(octal(entry.seconds, 12) ?? "00000000000", 136, "latin1")
  block.write("        ", 148, "latin1")
  block.write(flag, 156, "latin1")
  block.set(entry.target.subarray(0, 100), 157)
  block.write("ustar\x0000", 257, "latin1")
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  return block
}

/** "LENGTH KEY=VALUE\n", where the length counts itself. */
const record = (key: string, value: Uint8Array): Uint8Array => {
  const bare = key.length + value.length + 3
  let length = bare + 1
  while (bare + `${length}`.length !== length) length++
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from("\n")])
}

/** The header of an entry, with an extended one before where a value does not fit. */
export const headerOf = (entry: TarEntry): Uint8Array => {
  const records = [
    ...(entry.path.length > 100 ? [record("path", entry.path)] : []),
    ...(entry.target.length > 100 ? [record("linkpath", entry.target)] : []),
    ...(octal(entry.size, 12) === undefined ? [record("size", Buffer.from(`${entry.size}`))] : []),
    ...(octal(entry.seconds, 12) === undefined ? [record("mtime", Buffer.from(`${entry.seconds}`))] : [])
  ]
  const own = header(flags[entry.type], entry)
  if (records.length === 0) return own
  const extension = Buffer.concat(records)
  const size = extension.length
  const name = Buffer.from("extension")
  const before = header("x", { mode: 0o644, size, seconds: 0, path: name, target: nothing })
  return Buffer.concat([before, extension, padding(size), own])
}
