/** `run` against a shell that is only bytes, so that anything can stand between any two of them. */
import { describe, expect } from "bun:test"
import { effect } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { consoleOver } from "./fixtures/bareConsole.ts"
import { freshSeed, random } from "./fixtures/random.ts"
import { kernelLine, transcript, understand } from "./fixtures/typedShell.ts"

const prompt = "\u001b[1;31mroot\u001b[0m:\u001b[2K/# "
const output = "line one\nno line end"

/** Answers each run with the transcript, changed. */
const answering = (change: (bytes: Buffer, line: number) => ReadonlyArray<Uint8Array>, exitCode = 7) => {
  let run = 0
  return consoleOver((typed, say) => {
    const understood = understand(typed)
    if (understood === undefined) return false
    const whole = transcript({ typed, nonce: understood.nonce, output: Buffer.from(output), exitCode, prompt })
    for (const piece of change(whole, run)) say(piece)
    run++
    return true
  })
}

describe("run", () => {
  effect("finds output and status with a message of the kernel at any place", () =>
    Effect.gen(function* () {
      const line = kernelLine(12.345678)
      const cut = (bytes: Buffer, at: number) => [bytes.subarray(0, at), Buffer.from(line), bytes.subarray(at)]
      let length = Number.POSITIVE_INFINITY
      const console = answering((bytes, run) => {
        length = bytes.length
        return cut(bytes, run)
      })
      let inside = 0
      for (let at = 0; at <= length; at++) {
        const result = yield* console.run("some 'command'\nof two lines", { timeout: "1 second" })
        expect(result.exitCode, `${at}`).toBe(7)
        const without = result.output.replace(line.replace("\r", ""), "").replace("\r\n", "\n")
        expect(without, `${at}`).toBe(output)
        if (result.output !== output) inside++
      }
      expect(inside).toBeGreaterThanOrEqual(output.length)
      expect(inside).toBeLessThanOrEqual(output.length + 3)
    })
  )

  const seed = freshSeed()
  effect(`finds them with any number of messages, in pieces of any size (seed ${seed})`, () =>
    Effect.gen(function* () {
      const { below, cut } = random(seed)
      const console = answering((bytes) => {
        const parts: Array<Uint8Array> = []
        let from = 0
        for (let count = below(8); count >= 0; count--) {
          const to = from + below(bytes.length - from + 1)
          parts.push(bytes.subarray(from, to), Buffer.from(kernelLine(below(100_000) / 7)))
          from = to
        }
        return cut(Buffer.concat([...parts, bytes.subarray(from)]))
      })
      for (let count = 0; count < 500; count++) {
        const result = yield* console.run("anything", { timeout: "1 second" })
        expect(result.exitCode).toBe(7)
        expect(result.output.replace(/\[ *\d+\.\d{6}\] eth0: link is up\n/g, "").replaceAll("\r\n", "\n")).toBe(output)
      }
    })
  )

  effect("finds a prompt across its colours, and leaves what follows it", () =>
    Effect.gen(function* () {
      const console = answering((bytes) => [bytes, Buffer.from("left")])
      yield* console.run("true", { prompt: "root:/# ", timeout: "1 second" })
      expect(yield* console.expect("left", { timeout: "1 second" })).toMatchObject({ before: "" })
      yield* console.run("true", { prompt: /:.*# /, timeout: "1 second" })
      expect(yield* console.expect("left", { timeout: "1 second" })).toMatchObject({ before: "" })
    })
  )

  effect(
    "types every command so that the shell reads the same, in short lines of plain ASCII without control keys",
    () =>
      Effect.gen(function* () {
        const { below } = random(seed)
        const heard: Array<string> = []
        const console = consoleOver((typed, say) => {
          const understood = understand(typed)
          if (understood === undefined) return false
          expect(typed).toMatch(/^[ -~\r]*$/)
          expect(Math.max(...typed.split("\r").map((line) => line.length))).toBeLessThan(1000)
          heard.push(understood.command)
          say(transcript({ typed, nonce: understood.nonce, output: Buffer.of(), exitCode: 0, prompt }))
          return true
        })
        const said: Array<string> = []
        for (let count = 0; count < 300; count++) {
          const characters = Array.from({ length: below(600) }, () =>
            String.fromCodePoint(1 + below(below(2) ? 0xd7ff : 0x7f))
          )
          said.push(characters.join(""))
          yield* console.run(characters.join(""), { timeout: "1 second" })
        }
        expect(heard).toEqual(said)
      })
  )
})
