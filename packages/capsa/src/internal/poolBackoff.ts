/** The pause that a pool makes after failed launches, and when it counts as an outage. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Schedule from "effect/Schedule"

export const schedule = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("10 seconds")),
  Schedule.jittered,
  // Whole milliseconds: the test clock cannot tell others in nanoseconds.
  Schedule.modifyDelay((_, delay) => Duration.millis(Math.ceil(Duration.toMillis(delay))))
)

export const patience = 6

/** `onOver` is called when launches may begin again. */
export const make = Effect.fnUntraced(function* (onOver: () => void) {
  const handle = yield* FiberHandle.make()
  const fork = yield* FiberHandle.runtime(handle)<never>()
  const driver = yield* Schedule.driver(schedule)
  let paused = false
  let round = 0
  let failuresInARow = 0

  const over = Effect.sync(() => {
    paused = false
    onOver()
  })

  return {
    mayLaunch: () => !paused,
    /** Launches that begin before the next pause belong together. */
    round: () => round,
    /** Notes a failed launch of a round, and tells how many rounds have failed in a row. All of one round count once. */
    failed: (ofRound: number): number => {
      if (ofRound === round) {
        round++
        failuresInARow++
        paused = true
        fork(Effect.zipRight(Effect.orDie(driver.next(undefined)), over))
      }
      return failuresInARow
    },
    /** A machine came up: what is broken is not the launching. */
    cameUp: Effect.suspend(() => (paused ? Effect.zipRight(FiberHandle.clear(handle), over) : Effect.void)),
    /** A machine reached an acquirer alive. */
    served: Effect.suspend(() => {
      failuresInARow = 0
      return driver.reset
    })
  }
})
