/**
 * What busybox can be called as.
 *
 * @since 0.1.0
 */

/**
 * The names of its commands, read from the program itself, which may be made for another processor: a sorted list of
 * texts that begins with `[` and `[[`. Empty if there is no such list.
 *
 * @since 0.1.0
 * @category parsing
 */
export const commandsOf = (program: Uint8Array): ReadonlyArray<string> => {
  const bytes = Buffer.from(program.buffer, program.byteOffset, program.byteLength)
  const before = bytes.indexOf("\0[\0[[\0")
  if (before < 0) return []
  const end = bytes.indexOf("\0\0", before + 1)
  return bytes.toString("latin1", before + 1, end < 0 ? bytes.length : end).split("\0")
}
