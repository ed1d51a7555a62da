import { describe, expect } from "bun:test"
import { Backend } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { effect, planOf, Simulated } from "../src/index.ts"

const boot = Effect.flatMap(Backend, (backend) => backend.boot(planOf()))

describe("Simulated", () => {
  effect("a guest waits until its output is taken, and while it is paused", () => {
    let printed = 0
    const guest: Simulated.Script = ({ print }) =>
      Effect.zipRight(
        Effect.forEach(Array.from({ length: 100 }), () => Effect.tap(print("x"), () => Effect.sync(() => printed++))),
        Effect.succeed({ _tag: "PowerOff" } as const)
      )
    return Effect.gen(function* () {
      const machine = yield* boot
      yield* machine.pause
      const reading = yield* Effect.fork(Stream.runCount(machine.console))
      yield* TestClock.adjust("1 minute")
      const whilePaused = printed
      expect(whilePaused).toBeLessThan(100)
      yield* TestClock.adjust("1 minute")
      expect(printed).toBe(whilePaused)
      yield* machine.resume
      expect(yield* Fiber.join(reading)).toBe(100)
      expect(yield* machine.exit).toEqual({ _tag: "PowerOff" })
    }).pipe(Effect.provide(Simulated.layer({ guest })))
  })

  effect("counts what is alive", () =>
    Effect.gen(function* () {
      const { alive, begun } = yield* Simulated.Machines
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* boot
          yield* boot
          expect(yield* alive).toBe(2)
        })
      )
      expect(yield* alive).toBe(0)
      expect(yield* begun).toBe(2)
    }).pipe(Effect.provide(Simulated.layer()))
  )

  effect("a machine that has ended takes nothing any more", () =>
    Effect.gen(function* () {
      const machine = yield* boot
      yield* machine.kill
      expect(yield* machine.exit).toEqual({ _tag: "Killed" })
      for (const act of [machine.write(new Uint8Array(1)), machine.powerOff, machine.pause, machine.resume]) {
        expect(yield* Effect.flip(act)).toMatchObject({ reason: "NotRunning" })
      }
    }).pipe(Effect.provide(Simulated.layer()))
  )
})
