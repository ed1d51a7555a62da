/**
 * What the console tells of a boot, read line by line as it comes: the first process, a panic and its message, a kernel
 * that stands still after one. Pure; of each line only the beginning is kept.
 */

export interface Signs {
  /** The first process was started, or is about to be. */
  init: boolean
  /** It has said so itself. */
  initSpoke: boolean
  /** The message of the kernel's panic. */
  panic: string | undefined
  /** The kernel has printed its last line: from here it restarts or loops for ever. */
  panicOver: boolean
}

export interface BootSigns {
  readonly signs: Readonly<Signs>
  readonly feed: (bytes: Uint8Array) => void
  /** Takes a last line that has no end. */
  readonly finish: () => void
}

/** The kernel prints at most 1024 bytes in a line. */
const lineMax = 1024
const newline = 0x0a

/** The time, and in some kernels the processor or thread, before a line of the kernel. */
const stamp = /^(?:\[ *\d+\.\d+\])?(?:\[ *[TC]\d+\])? ?/

export const make = (): BootSigns => {
  const signs: Signs = { init: false, initSpoke: false, panic: undefined, panicOver: false }
  let line: Buffer = Buffer.alloc(0)

  const takeLine = () => {
    if (candidates[line[0] ?? 0] === 1) readLine(line.toString("latin1").replace(stamp, "").trimEnd(), signs)
    line = line.subarray(0, 0)
  }

  const keep = (piece: Uint8Array) => {
    if (line.length < lineMax) line = Buffer.concat([line, piece]).subarray(0, lineMax)
  }

  return {
    signs,
    feed: (bytes) => {
      for (let from = 0; from < bytes.length; ) {
        const at = bytes.indexOf(newline, from)
        const to = at === -1 ? bytes.length : at
        // Floods of other output should cost next to nothing.
        const dull = line.length === 0 && at !== -1 && candidates[bytes[from] ?? 0] !== 1
        if (!dull) keep(bytes.subarray(from, to))
        if (!dull && at !== -1) takeLine()
        from = to + 1
      }
    },
    finish: takeLine
  }
}

/** 1 for each byte that a line of interest can begin with. */
const candidates = Uint8Array.from({ length: 256 }, (_, byte) => ("[ Kc-R".includes(String.fromCharCode(byte)) ? 1 : 0))

const readLine = (text: string, signs: Signs): void => {
  if (text === "capsa: init") signs.initSpoke = true
  if (signs.initSpoke || /^Run \/.* as init process$/.test(text)) signs.init = true
  const panic = /^Kernel panic - not syncing: (.*)/.exec(text)
  // A panic while panicking only repeats itself: the first message is the reason.
  if (panic !== null) signs.panic ??= panic[1] ?? ""
  if (text.startsWith("---[ end Kernel panic")) signs.panicOver = true
}
