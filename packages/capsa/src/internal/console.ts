import type { Machine, VmExit } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { Console, ConsoleMatch, ExpectOptions, Pattern } from "../Console.ts"
import * as Dialogue from "./dialogue.ts"
import * as Login from "./login.ts"
import * as Run from "./run.ts"
import * as Tape from "./tape.ts"

/** The console, and the end of it that the pump holds. */
export interface ConsoleSink {
  readonly console: Console
  /** Number of bytes so far. */
  readonly position: () => number
  /** Bytes that readers were too slow for. */
  readonly missed: () => number
  readonly append: (bytes: Uint8Array) => void
  /** No more output will come: the machine has ended so. */
  readonly end: (exit: VmExit) => void
}

export const make = (machine: Pick<Machine, "write" | "consoleLost">, historyBytes: number): ConsoleSink => {
  const tape = Tape.make<VmExit>(historyBytes)
  const write: Console["write"] = Effect.fn("Console.write")((data) =>
    machine.write(typeof data === "string" ? new TextEncoder().encode(data) : data)
  )
  const dialogue = Dialogue.make(tape, write)
  const chunks = Stream.suspend(() => tape.chunksFrom(tape.end()))
  const { run, interrupt } = Run.make(dialogue)

  const console: Console = {
    output: Stream.map(chunks, ({ bytes }) => bytes),
    chunks,
    chunksFrom: tape.chunksFrom,
    history: Effect.sync(() => tape.read(0).bytes),
    lost: machine.consoleLost,
    write,
    writeLine: (text) => write(`${text}\r`),
    expect: expectIn(dialogue),
    run,
    login: Login.make(dialogue),
    interrupt,
    eof: Effect.suspend(() => write("\x04"))
  }
  return { console, position: tape.end, missed: tape.missed, append: tape.append, end: tape.close }
}

const expectIn = (dialogue: Dialogue.Dialogue): Console["expect"] =>
  Effect.fn("Console.expect")(function* (expected: Pattern | ReadonlyArray<Pattern>, options: ExpectOptions = {}) {
    const patterns = Predicate.isString(expected) || Predicate.isRegExp(expected) ? [expected] : expected
    const aim = { what: patterns.map(inWords).join(" or "), from: dialogue.consumed() }
    const match = Effect.map(dialogue.await(patterns, aim, options.windowBytes), (found): ConsoleMatch => {
      dialogue.consume(found.end)
      const { index, groups, before } = found
      return { text: groups[0], before: Buffer.from(before.bytes).toString(), match: groups, index, lost: before.lost }
    })
    return yield* dialogue.within(match, options.timeout, aim)
  })

const inWords = (pattern: Pattern): string => (typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern))
