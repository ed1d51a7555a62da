/** The vsock of a machine for scripts. */
import type * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Script from "../promise.ts"
import type * as Vsock from "../Vsock.ts"
import * as Session from "./session.ts"

export const make = (vsock: Vsock.Vsock, runner: Session.Runner): Script.Vsock => {
  const { iterate, run } = runner
  return {
    path: vsock.path,
    connect: async (port, options) => opened(await run(Session.own(vsock.connect(port, options)), options), runner),
    listen: (port) => iterate(Stream.map(vsock.listen(port), (value) => connection(value, value.close, runner))),
    pool: async (options) => {
      const { close, value: pool } = await run(Session.own(vsock.pool(options)))
      const closed = () => run(close)
      return {
        acquire: async (options) => opened(await run(Session.own(pool.acquire), options), runner),
        acquireTo: async (port, options) => opened(await run(Session.own(pool.acquireTo(port)), options), runner),
        stats: () => run(pool.stats),
        close: closed,
        [Symbol.asyncDispose]: closed
      }
    }
  }
}

const opened = ({ close, value }: Session.Opened<Vsock.VsockConnection>, runner: Session.Runner) =>
  connection(value, close, runner)

const connection = (
  { end, port, readable, write }: Vsock.VsockConnection,
  close: Effect.Effect<void>,
  { iterate, run }: Session.Runner
): Script.VsockConnection => {
  const closed = () => run(close)
  return {
    port,
    readable: iterate(readable),
    write: (data, options) => run(write(data), options),
    end: (options) => run(end, options),
    close: closed,
    [Symbol.asyncDispose]: closed
  }
}
