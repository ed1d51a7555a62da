/**
 * The last bytes of an endless stream. A byte's position is the number of bytes before it since the beginning, so a reader
 * is a number, and what it lost is a difference.
 */

/** What a reader got: the bytes from `position - bytes.length` to `position`, after `lost` that had been overwritten. */
export interface Reading {
  readonly bytes: Uint8Array
  readonly lost: number
  /** Where to read on. */
  readonly position: number
}

export interface ByteRing {
  /** Bytes that are kept at most. */
  readonly capacity: number
  /** Position of the oldest byte that is kept. */
  readonly start: () => number
  /** Position of the next byte to come: the number of all bytes so far. */
  readonly end: () => number
  /** Keeps a copy; forgets the oldest bytes. */
  readonly append: (bytes: Uint8Array) => void
  /** A copy of at most `limit` bytes from `position` on. */
  readonly read: (position: number, limit?: number) => Reading
  /** A copy of what is kept between a position and a later one. */
  readonly between: (position: number, to: number) => Reading
  /** Host memory in use, in bytes: grows with the stream up to `capacity`. */
  readonly allocated: () => number
}

const allocationMin = 4096

export const make = (capacity: number): ByteRing => {
  let store = new Uint8Array(Math.min(capacity, allocationMin))
  let end = 0
  const start = () => Math.max(0, end - capacity)

  /** Until the first byte is forgotten, positions are offsets, so growing is one copy. */
  const grow = (needed: number) => {
    const larger = new Uint8Array(Math.min(capacity, Math.max(needed, store.length * 2)))
    larger.set(store.subarray(0, end))
    store = larger
  }

  const read = (position: number, limit: number): Reading => {
    const from = Math.min(Math.max(position, start()), end)
    const bytes = new Uint8Array(Math.max(0, Math.min(limit, end - from)))
    const offset = from % store.length
    const first = store.subarray(offset, Math.min(store.length, offset + bytes.length))
    bytes.set(first, 0)
    bytes.set(store.subarray(0, bytes.length - first.length), first.length)
    return { bytes, lost: Math.max(0, from - position), position: from + bytes.length }
  }

  return {
    capacity,
    start,
    end: () => end,
    allocated: () => store.length,
    append: (bytes) => {
      const needed = end + bytes.length
      if (needed > store.length && store.length < capacity) grow(needed)
      const kept = bytes.length > capacity ? bytes.subarray(bytes.length - capacity) : bytes
      const offset = (needed - kept.length) % store.length
      const room = store.length - offset
      if (kept.length <= room) store.set(kept, offset)
      else {
        store.set(kept.subarray(0, room), offset)
        store.set(kept.subarray(room), 0)
      }
      end = needed
    },
    read: (position, limit = capacity) => read(position, limit),
    between: (position, to) => {
      const from = Math.min(Math.max(position, start()), to)
      return { ...read(from, to - from), lost: from - position }
    }
  }
}
