/** Runs commands in the shell that reads the console, by typing them between two marks. */
import * as Effect from "effect/Effect"
import type { Console, Pattern, RunOptions, RunResult } from "../Console.ts"
import type { Aim, Dialogue } from "./dialogue.ts"
import { characters, interleaved, kernelLine, terminalCommand } from "./noise.ts"

/** Characters of the command in a line, up to four keys each: line editors have short buffers, busybox takes 1024. */
const lineMax = 200
/** The kernel queues 64 KiB for a terminal whose reader is slow, and drops what is more (`TTYB_DEFAULT_MEM_LIMIT`). */
const typedMax = 49_152

const late =
  "Look at `received`. If the command began, it still runs: `interrupt` ends it. If not, no POSIX shell waits at the console."

/** The command, and what is typed to run it. */
interface Script {
  readonly lines: ReadonlyArray<string>
  /** Typed again when the shell has thrown the rest of its line away. */
  readonly closing: string
  readonly begin: RegExp
  readonly end: RegExp
}

/**
 * A mark begins with a control character that is typed as an escape for `printf`, so its echo is no mark, whatever the
 * line editor makes of it. So is every character of the command that a line editor, the terminal or an outer shell might
 * take for its own. Messages of the kernel may stand between any two characters of a mark. `command` keeps errors of
 * syntax in `eval` from ending the line.
 */
const scriptOf = (command: string, nonce: string): Script => {
  const pieces = escaped(command).match(new RegExp(`(?:\\\\\\d{3}|%%|.){1,${lineMax}}`, "g")) ?? [""]
  const closing = `printf '\\036${nonce}:%03d\\036' "$?"`
  const opening = `capsa_run=$(printf "$capsa_run"); printf '\\036${nonce}\\n'; command eval "$capsa_run"; ${closing}`
  const mark = ["\\x1e", ...characters(nonce)]
  return {
    // A space in front keeps a line out of the history where shells are told so.
    lines: [...pieces.map((piece, index) => ` capsa_run=${index === 0 ? "" : "$capsa_run"}'${piece}'`), ` ${opening}`],
    closing: ` ${closing}\r`,
    begin: new RegExp(interleaved([...mark, "(\\r?)", "\\n"], kernelLine)),
    end: new RegExp(interleaved([...mark, ":", "(\\d)", "(\\d)", "(\\d)", "\\x1e"], kernelLine))
  }
}

/** As a format of `printf` that a shell may read in single quotes. */
const escaped = (command: string): string =>
  Buffer.from(command)
    .toString("latin1")
    .replace(/[^ -~]|['\\!]/g, (special) => `\\${special.charCodeAt(0).toString(8).padStart(3, "0")}`)
    .replaceAll("%", "%%")

/** Prompts have colours; a text is found across them. */
const seenAs = (prompt: Pattern): Pattern =>
  typeof prompt === "string" ? new RegExp(interleaved(characters(prompt), terminalCommand)) : prompt

/** What the program wrote, before the terminal put a carriage return before each line feed. */
const withoutReturns = (bytes: Uint8Array): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll("\r\n", "\n"), "latin1")

export const make = (dialogue: Dialogue) => {
  let closing = ""

  const unusable = (command: string, aim: Aim) => {
    const detail = command.includes("\0")
      ? "A command cannot contain the character NUL."
      : `The command is too long to be typed: ${command.length} characters.`
    const hint = "Write it into a file of the guest, in parts, and run that."
    return dialogue.failure("InvalidInput", aim, { detail, hint })
  }

  const converse = Effect.fnUntraced(function* (script: Script, prompt: Pattern | undefined, aim: Aim) {
    aim.from = dialogue.end()
    closing = script.closing
    // Listening begins before typing, and an interrupt can come before the beginning: then there is only an end.
    const first = yield* Effect.zipLeft(
      dialogue.await([script.begin, script.end], aim),
      dialogue.write(`${script.lines.join("\r")}\r`),
      { concurrent: true }
    )
    if (first.index === 0) aim.from = first.end
    const last = first.index === 0 ? yield* dialogue.await([script.end], aim) : first
    const { bytes, lost } = first.index === 0 ? last.before : { bytes: new Uint8Array(0), lost: 0 }
    const plain = first.groups[1] === "\r" ? withoutReturns(bytes) : bytes
    let end = last.end
    if (prompt !== undefined) {
      aim.what = `the prompt ${prompt} after the command`
      end = (yield* dialogue.await([seenAs(prompt)], { ...aim, from: end })).end
    }
    dialogue.consume(end)
    const output = Buffer.from(plain).toString()
    return { output, bytes: plain, exitCode: Number(last.groups.slice(1).join("")), lost } satisfies RunResult
  })

  const run: Console["run"] = Effect.fn("Console.run")(function* (command: string, options: RunOptions = {}) {
    const aim: Aim = { what: `the end of the command ${JSON.stringify(command)}`, from: dialogue.end(), late }
    const nonce = yield* Effect.sync(() => crypto.randomUUID().slice(0, 8))
    const script = scriptOf(command, nonce)
    const typed = script.lines.reduce((sum, line) => sum + line.length + 1, 0)
    if (command.includes("\0") || typed > typedMax) return yield* unusable(command, aim)
    const conversation = Effect.ensuring(
      converse(script, options.prompt, aim),
      Effect.sync(() => {
        closing = ""
      })
    )
    return yield* dialogue.within(dialogue.alone(conversation), options.timeout, aim)
  })

  const interrupt = Effect.suspend(() => dialogue.write(`\x03${closing}`))

  return { run, interrupt }
}
