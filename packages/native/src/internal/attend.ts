import * as Effect from "effect/Effect"

/** What a turn left behind: somebody waits for the next one, or it brought output and more may follow, or neither. */
export type Turn = "more" | "output" | "nothing"

/**
 * A serial console gives one byte at a time. The first is passed on at once; while more come, they are gathered for
 * this long, so that a line does not cost as many wake-ups as it has letters.
 */
const gatheringMs = 1

/**
 * Takes a turn whenever the descriptor can be read, and further ones until nothing is left; never ends. Plain callbacks
 * and real time: this happens for every piece of output of every machine, and would take a fiber several times as long.
 */
export const attend = (fd: number, turn: () => Turn): Effect.Effect<never> =>
  Effect.async((resume) => {
    const reader = Bun.file(fd).stream().getReader()
    let over = false
    const wait = (): void => {
      reader.read().then(serve, (cause) => resume(Effect.die(cause)))
    }
    const serve = (): void => {
      if (over) return
      const left = turn()
      if (left === "more") setImmediate(serve)
      else if (left === "output") setTimeout(serve, gatheringMs)
      else wait()
    }
    wait()
    return Effect.promise(() => {
      over = true
      return reader.cancel()
    })
  })
