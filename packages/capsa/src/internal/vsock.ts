/** The vsock of a machine, over the Unix socket that its backend gives. */
import { type Machine, VsockError } from "@capsa/core"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Stream from "effect/Stream"
import { backlog, type ConnectOptions, type Vsock, type VsockConnection } from "../Vsock.ts"
import * as errors from "./vsockErrors.ts"
import * as Pool from "./vsockPool.ts"
import { errnoOf, type Judge, socketOptions, type Wire } from "./vsockWire.ts"

const encoder = new TextEncoder()
const nothing = new Uint8Array(0)

const connectionOf = (wire: Wire, port: number): Pool.Poolable => {
  const failed = errors.closed(port)
  return {
    port,
    readable: Stream.mapError(wire.readable, failed),
    write: (data) => Effect.mapError(wire.write(typeof data === "string" ? encoder.encode(data) : data), failed),
    end: wire.end,
    close: wire.close,
    isIdle: wire.isIdle
  }
}

export const make = Effect.fnUntraced(function* (machine: Machine) {
  const path = machine.vsockPath
  const runtime = yield* Effect.runtime<never>()
  const isRunning = Effect.isSuccess(machine.write(nothing))
  const judge: Judge = (then) => {
    Runtime.runFork(runtime)(Effect.map(isRunning, (running) => then(!running)))
  }

  /** The path, if there is any sense in using it. */
  const ready = (port: number): Effect.Effect<string, VsockError> =>
    Effect.suspend(() => {
      if (path === undefined) return Effect.fail(errors.unsupported(port))
      if (!errors.isPort(port)) return Effect.fail(errors.invalidPort(port))
      return Effect.flatMap(isRunning, (running) =>
        running ? Effect.succeed(path) : Effect.fail(errors.notRunning(port))
      )
    })

  /** One after the other: who has connected must say within a time what it wants, however many connect on a busy host. */
  const asking = Effect.unsafeMakeSemaphore(1)
  const ask = (unix: string, port: number) =>
    Effect.acquireRelease(dialPath(unix, port, judge), ({ close }) => close).pipe(
      // Of one that cannot be asked any more, the answer is there, or its end.
      Effect.tap(({ write }) => Effect.ignore(write(encoder.encode(`CONNECT ${port}\n`)))),
      asking.withPermits(1)
    )

  const dial = Effect.fnUntraced(function* (port: number, options: ConnectOptions = {}) {
    const unix = yield* ready(port)
    const wire = yield* ask(unix, port)
    const answered = answer(wire, port).pipe(
      // What the end of a machine does to a connection says less than that end.
      Effect.catchIf(
        ({ reason }) => reason === "Closed",
        (error) => Effect.flatMap(isRunning, (running) => (running ? error : errors.notRunning(port)))
      )
    )
    const { timeout } = options
    yield* (
      timeout === undefined
        ? answered
        : Effect.timeoutFail(answered, { duration: timeout, onTimeout: () => errors.timedOut(port) })
    ).pipe(Effect.onExit((exit) => (Exit.isFailure(exit) ? wire.close : Effect.void)))
    return connectionOf(wire, port)
  })

  const listen = (port: number): Stream.Stream<VsockConnection, VsockError> =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        const unix = `${yield* ready(port)}_${port}`
        const waiting = yield* Mailbox.make<VsockConnection>({ capacity: backlog, strategy: "dropping" })
        const open = new Set<Wire>()
        yield* Effect.addFinalizer(() => Effect.forEach([...open], ({ close }) => close))
        yield* serve(unix, port, judge, (wire) => {
          open.add(wire)
          wire.onClosed = () => open.delete(wire)
          if (!waiting.unsafeOffer(connectionOf(wire, port))) Effect.runSync(wire.close)
        })
        yield* Effect.forkScoped(Effect.zipRight(machine.exit, waiting.end))
        return Mailbox.toStream(waiting)
      })
    )

  return {
    path,
    connect: (port, options) => Effect.withSpan(dial(port, options), "Vsock.connect", { attributes: { port } }),
    listen,
    pool: (options) => Effect.zipRight(ready(options.port), Pool.make(dial, options))
  } satisfies Vsock
})

const dialPath = (unix: string, port: number, judge: Judge): Effect.Effect<Wire, VsockError> =>
  Effect.async((resume) => {
    const options = socketOptions(judge, (wire) => resume(Effect.succeed(wire)))
    Bun.connect({ ...options, unix, data: undefined }).catch((cause) => {
      const errno = errnoOf(cause)
      // The path goes, and nobody listens any more, when the machine has ended.
      const isGone = errno === "ENOENT" || errno === "ECONNREFUSED"
      resume(isGone ? errors.notRunning(port) : errors.hostFailure(port, "connect", unix, errno, cause))
    })
  })

const serve = (unix: string, port: number, judge: Judge, opened: (wire: Wire) => void) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Bun.listen({ ...socketOptions(judge, opened), unix, data: undefined }),
      catch: (cause) => {
        const errno = errnoOf(cause)
        return errno === "EADDRINUSE"
          ? errors.portInUse(port, unix)
          : errors.hostFailure(port, "listen", unix, errno, cause)
      }
    }),
    (server) => Effect.sync(() => server.stop())
  )

/** Longer than any answer. */
const answerMax = 64

/** Waits for the line. */
const answer = (wire: Wire, port: number): Effect.Effect<void, VsockError> =>
  Effect.gen(function* () {
    let line = nothing
    while (!line.includes(0x0a)) {
      if (line.byteLength > answerMax) return yield* errors.hostFailure(port, "connect", "", "EPROTO")
      const came = yield* Effect.mapError(
        wire.read,
        Option.getOrElse(() => ({}))
      )
      line = Buffer.concat([line, ...Chunk.toReadonlyArray(came)])
    }
    const length = line.indexOf(0x0a) + 1
    if (length < line.byteLength) wire.unread(line.subarray(length))
    const [word, detail = ""] = new TextDecoder().decode(line.subarray(0, length - 1)).split(" ")
    if (word !== "OK") return yield* refusalOf(port, detail)
  }).pipe(Effect.mapError((error) => (error instanceof VsockError ? error : errors.closed(port)(error))))

const refusalOf = (port: number, errno: string): VsockError => {
  switch (errno) {
    case "ECONNREFUSED":
      return errors.refused(port)
    case "ETIMEDOUT":
      return errors.timedOut(port)
    default:
      return errors.closed(port)({ errno })
  }
}
