import { expect } from "bun:test"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { effect, layer, live } from "../src/index.ts"

const log: Array<string> = []
const resource = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => log.push(`${name} acquired`)),
    () => Effect.sync(() => log.push(`${name} released`))
  )

effect("an hour passes at once", () =>
  Effect.gen(function* () {
    const sleeping = yield* Effect.fork(Effect.as(Effect.sleep("1 hour"), "woken"))
    yield* TestClock.adjust("1 hour")
    expect(yield* Fiber.join(sleeping)).toBe("woken")
  })
)

effect("a test has a scope", () => resource("of the test"))

live("it was closed with that test, and the clock here is real", () =>
  Effect.gen(function* () {
    expect(log).toEqual(["of the test acquired", "of the test released"])
    yield* Effect.sleep(1)
  })
)

effect.skipIf(false)("a condition that is not met skips nothing", () => Effect.sync(() => log.push("not skipped")))

class Shared extends Context.Tag("Shared")<Shared, number>() {}
const shared = Layer.scoped(Shared, resource("shared"))

layer(shared)("a shared layer", (it) => {
  it.effect("is built once", () => Effect.map(Shared, (value) => expect(value).toBe(log.length)))
  it.live("for all tests", () =>
    Effect.map(Shared, () => expect(log.filter((line) => line === "shared acquired")).toHaveLength(1))
  )
})

live("a shared layer is released after its tests", () => Effect.sync(() => expect(log.at(-1)).toBe("shared released")))
