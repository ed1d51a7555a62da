/** What `expect`, `run` and `login` are made of: places in the output, waiting from them, and errors that tell of them. */
import { ConsoleError, type MachineError, type VmExit } from "@capsa/core"
import * as Exit from "@capsa/core/VmExit"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Pattern } from "../Console.ts"
import type { Found, Tape } from "./tape.ts"

/** What is waited for, in words, and since when: for errors. It may change while one waits. */
export interface Aim {
  what: string
  from: number
  /** What to do when it does not come in time, if that is special. */
  readonly late?: string
}

export interface Dialogue {
  readonly write: (text: string) => Effect.Effect<void, MachineError>
  /** Where the next byte of output will be. */
  readonly end: () => number
  /** Up to here output has been matched, and is not looked at again. */
  readonly consumed: () => number
  readonly consume: (position: number) => void
  /** The first of the patterns in the output from the aim on. */
  readonly await: (
    patterns: ReadonlyArray<Pattern>,
    aim: Aim,
    windowBytes?: number
  ) => Effect.Effect<Found, ConsoleError>
  /** Fails when the time is up; for ever if absent. */
  readonly within: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    timeout: Duration.DurationInput | undefined,
    aim: Aim
  ) => Effect.Effect<A, E | ConsoleError, R>
  /** Waits its turn: two that talk to a shell at once would not understand its answers. */
  readonly alone: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly failure: (
    reason: ConsoleError["reason"],
    aim: Aim,
    how: { readonly detail: string; readonly hint: string }
  ) => ConsoleError
  /** The same error, should the guest have shown what was typed in secret. */
  readonly without: (secret: string, error: ConsoleError) => ConsoleError
}

/** How much text an error carries. */
const receivedMax = 4096

export const make = (tape: Tape<VmExit>, write: Dialogue["write"]): Dialogue => {
  let consumed = 0
  const turn = Effect.unsafeMakeSemaphore(1)

  const failure: Dialogue["failure"] = (reason, { what, from }, how) => {
    const { bytes } = tape.read(Math.max(from, tape.end() - receivedMax))
    const exit = reason === "Ended" ? tape.closed() : undefined
    return new ConsoleError({ reason, pattern: what, received: Buffer.from(bytes).toString(), exit, ...how })
  }

  return {
    write,
    end: tape.end,
    consumed: () => consumed,
    consume: (position) => {
      consumed = Math.max(consumed, position)
    },
    alone: turn.withPermits(1),
    failure,
    without: (secret, error) =>
      secret === "" || !error.received.includes(secret)
        ? error
        : new ConsoleError({ ...error, received: error.received.replaceAll(secret, "<redacted>") }),
    await: (patterns, aim, windowBytes) =>
      Effect.flatMap(tape.find(patterns, aim.from, windowBytes), (found) =>
        found === undefined ? failure("Ended", aim, ended(tape.closed(), aim)) : Effect.succeed(found)
      ),
    within: (effect, timeout, aim) =>
      timeout === undefined
        ? effect
        : Effect.timeoutFail(effect, {
            duration: timeout,
            onTimeout: () =>
              failure("Timeout", aim, {
                detail: `The time was up while waiting for ${aim.what}.`,
                hint: aim.late ?? late
              })
          })
  }
}

const late = "Look at `received`: the pattern may not fit it, or the guest may need more time. Nothing was consumed."

const ended = (exit: VmExit | undefined, { what }: Aim) => ({
  detail: `The machine ended${exit === undefined ? "" : ` (${Exit.format(exit)})`} while waiting for ${what}.`,
  hint: "Look at `received`, the last that it said, and at `exit`, how it ended."
})
