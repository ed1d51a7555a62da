/** Pools with many machines and many acquirers, and with whatever order of events a generator thinks of. */
import { describe, expect } from "bun:test"
import { VmBootError } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as VmPool from "../src/VmPool.ts"

const never: Simulated.Script = () => Effect.never
const silent = Effect.provide(Logger.remove(Logger.defaultLogger))
const shortage = new VmBootError({ reason: "HostResources", detail: "No room.", hint: "Close something." })
const guestEnded = new VmBootError({ reason: "GuestEnded", detail: "It ended.", hint: "Read its console." })

describe("VmPool under load", () => {
  const acquirers = 200

  /** So that things overlap without a clock, whose every step costs the test milliseconds. */
  const yields = (times: number) => Effect.repeatN(Effect.yieldNow(), times)

  /** Launches of some steps or, one in ten, some seconds. Every fifth fails: by turns
   * for want of something, which is tried again by the launch, and by its guest, which is tried again by the pool. */
  const makeHost = () => {
    let boots = 0
    const beforeStage = (stage: Simulated.SimulatedStage) => {
      if (stage !== "started") return Effect.void
      const boot = boots++
      const outcome = boot % 10 === 3 ? Effect.fail(shortage) : boot % 10 === 8 ? Effect.fail(guestEnded) : Effect.void
      const time = boot % 10 === 0 ? Effect.sleep(1000 + (boot % 7) * 500) : yields(boot % 23)
      return Effect.zipRight(time, outcome)
    }
    return { beforeStage, boots: () => boots }
  }

  for (const [what, { min, max, rounds }] of [
    ["1000 machines that come and go, 50 at a time", { min: 0, max: 50, rounds: 5 }],
    ["1000 machines at a time", { min: 1000, max: 1000, rounds: 1 }]
  ] as const) {
    effect(
      `${what}, ${acquirers} acquirers, one launch in five fails`,
      () => {
        const { beforeStage, boots } = makeHost()
        return Effect.gen(function* () {
          const { alive } = yield* Simulated.Machines
          const scope = yield* Scope.make()
          const pool = yield* Scope.extend(VmPool.make({ config: {}, min, max }), scope)
          const asked: Array<number> = []
          const served: Array<number> = []
          const ids = new Set<string>()
          let most = 0

          const useOne = (turn: number) =>
            Effect.gen(function* () {
              const { idle } = yield* pool.stats
              if (idle === 0) asked.push(turn)
              const vm = yield* pool.acquire
              if (idle === 0) served.push(turn)
              ids.add(vm.id)
              most = Math.max(most, yield* alive)
              expect(yield* vm.status).toEqual({ _tag: "Running" })
              yield* yields(turn % 31)
            }).pipe(Effect.scoped)

          const using = yield* Effect.forEach(
            Array.from({ length: acquirers }, (_, acquirer) => acquirer),
            (acquirer) =>
              Effect.forEach(Array.from({ length: rounds }), (_, round) => useOne(round * acquirers + acquirer)),
            { concurrency: "unbounded", discard: true }
          ).pipe(Effect.fork)
          for (let second = 0; second < 600 && using.unsafePoll() === null; second++)
            yield* TestClock.adjust("1 second")
          yield* using

          expect(ids.size).toBe(acquirers * rounds)
          // Who is served at once may be done before one who has just been called.
          expect(served).toEqual(asked)
          expect(served.length).toBeGreaterThanOrEqual(acquirers)
          expect(most).toBeLessThanOrEqual(max)
          yield* TestClock.adjust("1 minute")
          const stats = yield* pool.stats
          expect(stats).toMatchObject({ size: min, idle: min, waiting: 0, waits: { count: stats.misses } })
          expect(stats.launchFailures / boots()).toBeCloseTo(0.1, 2)
          yield* Scope.close(scope, Exit.void)
          expect(yield* alive).toBe(0)
        }).pipe(Effect.provide(Simulated.layer({ guest: never, beforeStage })), silent)
      },
      120_000
    )
  }
})
