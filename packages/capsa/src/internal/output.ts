import type { Machine } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as BootSigns from "./bootSigns.ts"
import type { ConsoleSink } from "./console.ts"
import { type HostActs, refine } from "./exitRefinement.ts"
import type { Journal } from "./journal.ts"
import * as Measure from "./measure.ts"

/** How long a kernel that has panicked may be silent before it counts as standing still. */
const silenceMax = "2 seconds"
/** A kernel announces the first process before it tries to run it, and has panicked by then if it could not. */
const initFailureTime = "250 millis"
/** How long the last output may take after the end. */
const lastOutputTime = "1 second"

/**
 * Takes everything that the machine says until it ends, in fibers of the scope around it. Gives the machine's exit, with what
 * its console told of it; by then all output has arrived. `ready` completes when the first process runs.
 */
export const pump = Effect.fnUntraced(function* (
  machine: Machine,
  sink: ConsoleSink,
  journal: Journal,
  bootAt: number,
  acts: HostActs,
  backend: string
) {
  const counted = Measure.consoleOf(backend)
  const scanner = BootSigns.make()
  const scope = yield* Effect.scope
  const ready = yield* Deferred.make<void>()

  const readyUnlessItPanics = Effect.sleep(initFailureTime).pipe(
    Effect.zipRight(
      Effect.suspend(() => (scanner.signs.panic === undefined ? Deferred.succeed(ready, undefined) : Effect.void))
    )
  )
  const killOnceItStandsStill = silence(sink).pipe(
    Effect.zipRight(
      Effect.sync(() => {
        acts.killedStandingStill = true
      })
    ),
    Effect.zipRight(Effect.logWarning("the guest's kernel panicked and stands still: killing the machine")),
    Effect.zipRight(machine.kill)
  )

  const receive = (bytes: Uint8Array): Effect.Effect<unknown> => {
    const first = sink.position() === 0
    const before = { ...scanner.signs }
    sink.append(bytes)
    counted.grown(sink.position())
    scanner.feed(bytes)
    const { init, initSpoke, panicOver } = scanner.signs
    const news = {
      init: init && !before.init,
      initSpoke: initSpoke && !before.initSpoke,
      panicOver: panicOver && !before.panicOver
    }
    // Most pieces of output tell nothing of the boot.
    if (!(first || news.init || news.initSpoke || news.panicOver)) return Effect.void
    return Effect.all([
      first ? journal.reachNow("kernel") : Effect.void,
      news.init ? Effect.zipRight(journal.reachNow("init"), Effect.forkIn(readyUnlessItPanics, scope)) : Effect.void,
      news.initSpoke ? Deferred.succeed(ready, undefined) : Effect.void,
      news.panicOver ? Effect.forkIn(killOnceItStandsStill, scope) : Effect.void
    ])
  }

  const bytes = yield* Effect.forkScoped(
    Stream.runForEach(machine.console, (bytes) => Effect.suspend(() => receive(bytes)))
  )
  const stages = yield* Effect.forkScoped(
    Stream.runForEach(machine.stages, ({ name, atMs }) => journal.reach({ name, atMs: bootAt + atMs }))
  )

  const end = Effect.gen(function* () {
    const exit = yield* machine.exit
    yield* Effect.timeoutOption(Effect.zip(Fiber.await(bytes), Fiber.await(stages)), lastOutputTime)
    scanner.finish()
    const refined = refine(exit, scanner.signs, acts)
    sink.end(refined)
    counted.ended(sink.position())
    return refined
  })
  return { end, ready: Deferred.await(ready) }
})

const silence = (sink: ConsoleSink): Effect.Effect<void> =>
  Effect.suspend(() => {
    const position = sink.position()
    return Effect.flatMap(Effect.sleep(silenceMax), () => (sink.position() === position ? Effect.void : silence(sink)))
  })
