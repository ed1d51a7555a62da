/** One end of a byte stream to another process. */
import * as net from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** The other side is gone, or the descriptor failed. */
export class ConnectionClosed extends Data.TaggedError("ConnectionClosed")<{ readonly cause?: unknown }> {}

export interface Connection {
  /** What the other side sends; ends when it closes. To be consumed once. */
  readonly bytes: Stream.Stream<Uint8Array>
  /** Hands bytes to the kernel, in order; waits while the other side does not read. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, ConnectionClosed>
}

// Reading pauses above the first and goes on below the second, so that an idle consumer costs bounded memory.
const unreadBytesMax = 1024 * 1024
const unreadBytesLow = 256 * 1024

// QEMU's UART sends byte by byte, and a chunk of one byte weighs far more than that.
const chunkBytesMin = 256
const weightOf = (chunk: Uint8Array): number => Math.max(chunk.byteLength, chunkBytesMin)

// What an interrupted write may leave behind in the socket's own queue.
const writeBytesMax = 64 * 1024

/** Takes over a socket; it is closed with the scope. */
export const fromSocket = Effect.fnUntraced(function* (open: () => net.Socket) {
  const received = yield* Mailbox.make<Uint8Array>()
  let unread = 0
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const socket = open()
      socket.on("data", (chunk: Uint8Array) => {
        unread += weightOf(chunk)
        received.unsafeOffer(chunk)
        if (unread > unreadBytesMax) socket.pause()
      })
      socket.on("close", () => received.unsafeDone(Exit.void))
      // "close" follows, which is all that a reader needs to know; a writer gets the error itself.
      socket.on("error", () => {})
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const taken = (chunk: Uint8Array) =>
    Effect.sync(() => {
      unread -= weightOf(chunk)
      if (unread < unreadBytesLow && socket.isPaused()) socket.resume()
    })
  const turn = yield* Effect.makeSemaphore(1)
  return {
    bytes: Stream.tap(Mailbox.toStream(received), taken),
    write: (bytes) => turn.withPermits(1)(writeAll(socket, bytes))
  } satisfies Connection
})

/** Takes over this process's end of a socket pair. */
export const fromDescriptor = (fd: number): Effect.Effect<Connection, never, Scope.Scope> =>
  // The types ask for a path, which an open descriptor has no use for.
  fromSocket(() => net.connect({ fd, path: "" }))

const writeAll = Effect.fnUntraced(function* (socket: net.Socket, bytes: Uint8Array) {
  for (let start = 0; start < bytes.byteLength; start += writeBytesMax) {
    yield* drained(socket)
    yield* writeOnce(socket, bytes.subarray(start, start + writeBytesMax))
  }
})

/** Waits for what an interrupted write left behind. */
const drained = (socket: net.Socket) =>
  Effect.async<void, ConnectionClosed>((resume) => {
    if (!socket.writableNeedDrain) return resume(Effect.void)
    const onDrain = () => resume(Effect.void)
    const onClose = () => resume(new ConnectionClosed({}))
    socket.once("drain", onDrain).once("close", onClose)
    return Effect.sync(() => socket.off("drain", onDrain).off("close", onClose))
  })

const writeOnce = (socket: net.Socket, bytes: Uint8Array) =>
  Effect.async<void, ConnectionClosed>((resume) => {
    if (!socket.writable) return resume(new ConnectionClosed({}))
    const onClose = () => resume(new ConnectionClosed({}))
    socket.once("close", onClose)
    socket.write(bytes, (cause) => {
      socket.off("close", onClose)
      resume(cause ? new ConnectionClosed({ cause }) : Effect.void)
    })
    return Effect.sync(() => socket.off("close", onClose))
  })
