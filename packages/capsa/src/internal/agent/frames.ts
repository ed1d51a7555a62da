/** Frames: a big-endian length of four bytes, then so many bytes. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { frameBytesMax } from "./messages.ts"
import { encode, type Value } from "./msgpack.ts"

export const headBytes = 4

/** A length that no frame has. */
export class BadFrame extends Data.TaggedError("BadFrame")<{ readonly length: number }> {}

/** A message as a frame; undefined if it is too long for one. */
export const frameOf = (message: Value): Uint8Array | undefined => {
  const body = encode(message)
  if (body.length > frameBytesMax) return undefined
  const frame = new Uint8Array(headBytes + body.length)
  new DataView(frame.buffer).setUint32(0, body.length)
  frame.set(body, headBytes)
  return frame
}

/** Puts frames together from pieces of any size; holds no more than one that is not whole. */
export interface FrameSplitter {
  /** The bodies of the frames that are whole with this piece. After a {@link BadFrame} it is of no more use. */
  readonly feed: (piece: Uint8Array) => Either.Either<ReadonlyArray<Uint8Array>, BadFrame>
  /** Whether nothing of a frame is missing. */
  readonly atEdge: () => boolean
}

export const makeSplitter = (): FrameSplitter => {
  const head = new Uint8Array(headBytes)
  // What is being filled: the head, or the body that it announced.
  let target = head
  let filled = 0

  const feed: FrameSplitter["feed"] = (piece) => {
    const whole: Array<Uint8Array> = []
    for (let at = 0; at < piece.length; ) {
      const count = Math.min(target.length - filled, piece.length - at)
      target.set(piece.subarray(at, at + count), filled)
      filled += count
      at += count
      if (filled < target.length) break
      filled = 0
      if (target !== head) {
        whole.push(target)
        target = head
        continue
      }
      const length = new DataView(head.buffer).getUint32(0)
      if (length === 0 || length > frameBytesMax) return Either.left(new BadFrame({ length }))
      target = new Uint8Array(length)
    }
    return Either.right(whole)
  }
  return { feed, atEdge: () => target === head && filled === 0 }
}
