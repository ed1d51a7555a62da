/** A terminal with somebody at it, for programs that want one. */
import { expect } from "bun:test"
import { argv } from "./capsa.ts"

/** What is done when the output has come to a prompt: keys are typed, or the program is sent a signal. */
export type Reaction = readonly [prompt: RegExp, act: string | { readonly signal: "SIGTERM" | "SIGHUP" }]

const flagsOf = ({ inputFlags, outputFlags, localFlags, controlFlags }: Bun.Terminal) =>
  [inputFlags, outputFlags, localFlags, controlFlags].join(":")

/** Runs the program in a terminal of its own. Tells how the terminal was set before, at each prompt, and after. */
export const inTerminal = async (words: ReadonlyArray<string>, reactions: ReadonlyArray<Reaction>) => {
  const waiting = [...reactions]
  const during: Array<string> = []
  let unmatched = ""
  await using terminal = new Bun.Terminal({
    cols: 100,
    rows: 30,
    data: (terminal, data) => {
      unmatched += Buffer.from(data).toString()
      const [prompt, act] = waiting[0] ?? []
      if (act === undefined || prompt?.test(unmatched) !== true) return
      waiting.shift()
      unmatched = ""
      during.push(flagsOf(terminal))
      if (typeof act === "string") terminal.write(act)
      else child.kill(act.signal)
    }
  })
  const before = flagsOf(terminal)
  const child = Bun.spawn(argv(...words), { terminal, env: { ...Bun.env, NO_COLOR: "1" } })
  const status = await child.exited
  expect(waiting).toEqual([])
  return { status, before, during, after: flagsOf(terminal) }
}
