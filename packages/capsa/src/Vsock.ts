/** Connections between host and guest by port number, without a network. */
import type { VsockError } from "@capsa/core"
import * as Socket from "@effect/platform/Socket"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * A connection: bytes both ways, each with its own end.
 *
 * Backpressure goes from end to end: bytes are taken from the guest as fast as `readable` is read, and `write` waits while
 * the guest's program does not read.
 *
 * @category models
 */
export interface VsockConnection {
  /** The guest's port of a connection to it; the host's of one that the guest made. */
  readonly port: number
  /**
   * What the guest sends, until it says that it sends no more. Fails with `Closed` if the host's kernel tells of a break,
   * or if the machine has ended. A guest's program that was killed looks like one that has closed. To be read by one.
   */
  readonly readable: Stream.Stream<Uint8Array, VsockError>
  /**
   * Sends bytes or UTF-8 text; waits until the host's kernel has taken all. Writers take turns. Interrupting one that
   * waits leaves a part of it sent. Fails with `Closed` if nobody will read it.
   */
  readonly write: (data: string | Uint8Array) => Effect.Effect<void, VsockError>
  /** Says that this side sends no more, once all writers are done; the guest may go on. */
  readonly end: Effect.Effect<void>
  /** Ends both directions. The end of the scope does the same. */
  readonly close: Effect.Effect<void>
}

/** @category models */
export interface ConnectOptions {
  /** How long it may take until the guest has accepted; without it, as long as a guest takes to boot, or for ever. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** @category models */
export interface VsockPoolOptions {
  /** Of the guest. */
  readonly port: number
  /** Connections to one port that exist at a time at most, those in use included. */
  readonly max: number
  /** How long a connection may be idle before it is closed; for ever if absent. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /** As for `connect`. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** Where the connections of a pool are now. @category models */
export interface VsockPoolStats {
  readonly idle: number
  readonly inUse: number
  /** Acquirers in the queue. */
  readonly waiting: number
}

/**
 * Connections to ports of the guest, used again and again. A connection goes back when the scope of its user closes. One
 * on which the guest has ended or said something that was not read is not used twice, and neither is one on which the user
 * has said `end` or `close`.
 *
 * @category models
 */
export interface VsockPool {
  /** A connection for this scope alone, served in the order of asking. */
  readonly acquire: Effect.Effect<VsockConnection, VsockError, Scope.Scope>
  /** The same to another port, of which there are `max` connections, too. */
  readonly acquireTo: (port: number) => Effect.Effect<VsockConnection, VsockError, Scope.Scope>
  /** Of the connections to all ports. */
  readonly stats: Effect.Effect<VsockPoolStats>
}

/**
 * The vsock of a machine. Every call fails with `Unsupported` unless the machine was launched with `vsock: true`, and with
 * `NotRunning` once it has ended.
 *
 * @category models
 */
export interface Vsock {
  /**
   * Connects to a port of the guest. Waits until the guest has a driver; then fails with `Refused` if nobody listens
   * there, and with `TimedOut` if the guest has not answered within ten seconds.
   */
  readonly connect: (port: number, options?: ConnectOptions) => Effect.Effect<VsockConnection, VsockError, Scope.Scope>
  /**
   * Listens at a port of the host, while the stream is read, for connections of the guest to CID 2. Each belongs to the
   * stream and is closed with it; who is done with one earlier says `close`. At most {@link backlog} wait to be taken, and
   * those beyond are closed at once. Ends with the machine.
   */
  readonly listen: (port: number) => Stream.Stream<VsockConnection, VsockError>
  /** Makes a pool of connections to a port of the guest, which belongs to the scope. Connects when it must. */
  readonly pool: (options: VsockPoolOptions) => Effect.Effect<VsockPool, VsockError, Scope.Scope>
  /** The Unix socket that other programs connect to, if the machine has vsock: see docs/VSOCK.md. */
  readonly path: string | undefined
}

/** Connections of the guest that a stream holds for its reader. */
export const backlog = 128

/**
 * A connection as a socket of `@effect/platform`, for what is built on those. Its handlers run one after the other, and
 * the guest is read no faster.
 *
 * @category conversions
 */
export const toSocket = (connection: VsockConnection): Socket.Socket => {
  const failed = (reason: "Read" | "Write") => (cause: VsockError) => new Socket.SocketGenericError({ reason, cause })
  const run: Socket.Socket["run"] = (handler, options) =>
    Effect.zipRight(
      options?.onOpen ?? Effect.void,
      Stream.runForEach(Stream.mapError(connection.readable, failed("Read")), (bytes) => handler(bytes) ?? Effect.void)
    )
  return {
    [Socket.TypeId]: Socket.TypeId,
    run,
    runRaw: run,
    writer: Effect.succeed((chunk) =>
      Socket.isCloseEvent(chunk) ? connection.end : Effect.mapError(connection.write(chunk), failed("Write"))
    )
  }
}
