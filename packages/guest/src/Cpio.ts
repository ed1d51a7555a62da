/**
 * Archives that the kernel unpacks as its first file system ("newc" format of cpio, as the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst has it). The same entries give the same bytes.
 *
 * @since 0.1.0
 */

/**
 * One member of an archive; everything belongs to root and dates from 1970. `path` has no leading slash. A folder
 * must come before what is in it.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry =
  | { readonly type: "folder"; readonly path: string }
  | { readonly type: "file"; readonly path: string; readonly content: Uint8Array; readonly executable?: boolean }
  | { readonly type: "link"; readonly path: string; readonly target: string }
  | { readonly type: "device"; readonly path: string; readonly major: number; readonly minor: number }

/**
 * The archive of `entries`, uncompressed. Archives may be joined end to end: the kernel unpacks one after the other.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (entries: ReadonlyArray<Entry>): Uint8Array => {
  const members = entries.map((entry, index) => member(index + 1, entry.path, fields(entry)))
  return concat([...members, member(0, "TRAILER!!!", { mode: 0, content: empty })].flat())
}

interface Fields {
  readonly mode: number
  readonly content: Uint8Array
  readonly device?: readonly [major: number, minor: number]
}

const text = new TextEncoder()
const empty = new Uint8Array()

const fields = (entry: Entry): Fields => {
  switch (entry.type) {
    case "folder":
      return { mode: 0o040755, content: empty }
    case "file":
      return { mode: entry.executable ? 0o100755 : 0o100644, content: entry.content }
    case "link":
      return { mode: 0o120777, content: text.encode(entry.target) }
    case "device":
      return { mode: 0o020600, content: empty, device: [entry.major, entry.minor] }
  }
}

const member = (inode: number, path: string, { mode, content, device = [0, 0] }: Fields): ReadonlyArray<Uint8Array> => {
  const name = text.encode(`${path}\0`)
  const links = (mode & 0o170000) === 0o040000 ? 2 : 1
  const numbers = [inode, mode, 0, 0, links, 0, content.length, 0, 0, ...device, name.length, 0]
  const header = text.encode(`070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`)
  return [header, name, padding(header.length + name.length), content, padding(content.length)]
}

const padding = (length: number) => new Uint8Array((4 - (length % 4)) % 4)

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
