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
    if (store.length >= Math.min(needed, capacity)) return
    const larger = new Uint8Array(Math.min(capacity, Math.max(needed, store.length * 2)))
    larger.set(store.subarray(0, end))
    store = larger
  }

  return {
    capacity,
    start,
    end: () => end,
    allocated: () => store.length,
    append: (bytes) => {
      grow(end + bytes.length)
      const kept = bytes.subarray(Math.max(0, bytes.length - capacity))
      const offset = (end + bytes.length - kept.length) % store.length
      const first = kept.subarray(0, store.length - offset)
      store.set(first, offset)
      store.set(kept.subarray(first.length), 0)
      end += bytes.length
    },
    read: (position, limit = capacity) => {
      const from = Math.min(Math.max(position, start()), end)
      const bytes = new Uint8Array(Math.min(limit, end - from))
      const offset = from % store.length
      const first = store.subarray(offset, Math.min(store.length, offset + bytes.length))
      bytes.set(first, 0)
      bytes.set(store.subarray(0, bytes.length - first.length), first.length)
      return { bytes, lost: Math.max(0, from - position), position: from + bytes.length }
    }
  }
}
