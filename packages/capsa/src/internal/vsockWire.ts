/** A Unix socket as effects, with backpressure both ways. */
import type { Socket } from "bun"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** Bytes that are read from the socket before their reader asks for them. */
const heldMax = 256 * 1024

/** Why a wire is dead; `errno` where the kernel said. */
export interface Break {
  readonly errno?: string | undefined
}

export interface Wire {
  /** All bytes that have come, at least one; none: no more will. */
  readonly read: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<Break>>
  readonly readable: Stream.Stream<Uint8Array, Break>
  /** Puts bytes back before all that is to be read. */
  readonly unread: (bytes: Uint8Array) => void
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, Break>
  readonly end: Effect.Effect<void>
  readonly close: Effect.Effect<void>
  /** Open both ways, and nothing is there to be read. */
  readonly isIdle: () => boolean
  /** Called once, when it is closed by either side. */
  onClosed: () => void
}

/** What Bun tells of a socket. */
interface Reports {
  readonly data: (bytes: Uint8Array) => void
  readonly drain: () => void
  /** The other side sends no more. */
  readonly end: () => void
  readonly close: (error?: Error) => void
}

/** Whether an end of input is no end but a break: asked at once when it comes, and told when it is known. */
export type Judge = (then: (broken: boolean) => void) => void

type End = "open" | "judging" | "ended" | Break

/** Each socket's reports, which are there from its first event on. */
type Wired = { reports: Reports; wire: Wire }

/** Options of Bun's for sockets; `judge` is for all of them, `opened` gets each. */
export const socketOptions = (judge: Judge, opened: (wire: Wire) => void) => ({
  allowHalfOpen: true,
  socket: {
    open(socket: Socket<Wired>) {
      socket.data = makeWire(socket, judge)
      opened(socket.data.wire)
    },
    data: ({ data }: Socket<Wired>, bytes: Buffer) => data.reports.data(bytes),
    drain: ({ data }: Socket<Wired>) => data.reports.drain(),
    end: ({ data }: Socket<Wired>) => data.reports.end(),
    close: ({ data }: Socket<Wired>, error?: Error) => data?.reports.close(error),
    error: ({ data }: Socket<Wired>, error: Error) => data?.reports.close(error),
    connectError: () => {}
  }
})

/** The host's name of an error, if it has one. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

const makeWire = (socket: Socket<Wired>, judge: Judge): Wired => {
  const input: Array<Uint8Array> = []
  let held = 0
  let paused = false
  let end: End = "open"
  let sending = true
  let alive = true
  const arrived = Effect.unsafeMakeLatch(false)
  const drained = Effect.unsafeMakeLatch(false)
  const writing = Effect.unsafeMakeSemaphore(1)

  const over = (how: End) => {
    if (end === "ended" || typeof end === "object") return
    end = how
    arrived.unsafeOpen()
  }
  const inputEnded = () => {
    if (end !== "open") return
    end = "judging"
    judge((broken) => over(broken ? {} : "ended"))
  }
  const died = () => {
    if (!alive) return
    alive = false
    drained.unsafeOpen()
    wire.onClosed()
  }
  const reports: Reports = {
    data: (bytes) => {
      input.push(bytes)
      held += bytes.byteLength
      if (held > heldMax && !paused) {
        paused = true
        socket.pause()
      }
      arrived.unsafeOpen()
    },
    drain: () => drained.unsafeOpen(),
    end: inputEnded,
    close: (error) => {
      if (error !== undefined) over({ errno: errnoOf(error) })
      else inputEnded()
      died()
    }
  }

  const read: Wire["read"] = Effect.suspend(() => {
    if (input.length > 0) {
      const taken = Chunk.unsafeFromArray(input.splice(0))
      held = 0
      if (paused) {
        paused = false
        socket.resume()
      }
      return Effect.succeed(taken)
    }
    if (end === "ended") return Effect.fail(Option.none())
    if (typeof end === "object") return Effect.fail(Option.some(end))
    arrived.unsafeClose()
    return Effect.zipRight(arrived.await, read)
  })
  const send = (bytes: Uint8Array, from: number): Effect.Effect<void, Break> =>
    Effect.suspend(() => {
      const left = bytes.byteLength - from
      const sent = alive && sending ? socket.write(bytes, from, left) : -1
      if (sent < 0) return Effect.fail({})
      if (sent === left) return Effect.void
      drained.unsafeClose()
      return Effect.zipRight(drained.await, send(bytes, from + sent))
    })
  const wire: Wire = {
    read,
    readable: Stream.repeatEffectChunkOption(read),
    unread: (bytes) => {
      input.unshift(bytes)
      held += bytes.byteLength
    },
    write: (bytes) => writing.withPermits(1)(send(bytes, 0)),
    end: writing.withPermits(1)(
      Effect.sync(() => {
        if (alive && sending) socket.shutdown()
        sending = false
      })
    ),
    close: Effect.sync(() => {
      over({})
      if (alive) socket.terminate()
      died()
    }),
    isIdle: () => alive && sending && end === "open" && input.length === 0,
    onClosed: () => {}
  }
  return { reports, wire }
}
