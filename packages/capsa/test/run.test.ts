/** `run` against real shells of this host on real terminals. */
import { describe, expect } from "bun:test"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { consoleOf, prompt, shells } from "./fixtures/hostShell.ts"

const timeout = "20 seconds"

/** The command, what it prints, how it ends. */
const commands: ReadonlyArray<readonly [command: string, output: string | RegExp, exitCode: number]> = [
  ["echo hello", "hello\n", 0],
  ["printf 'no line end'", "no line end", 0],
  ["", "", 0],
  ["false", "", 1],
  ["(exit 137)", "", 137],
  ["sh -c 'kill -9 $$'", /^(Killed\n)?$/, 137],
  ["no-such-program", /not found/, 127],
  [
    "echo 'single' \"double $((1 + 1))\" `echo back` \\\\ 100% %d ! !! # no comment",
    /^single double 2 back \\ 100% %d ! !!\n$/,
    0
  ],
  ["cat <<EOF\nhere $((6 * 7)) 'quoted' \"twice\"\n\tindented\n\nEOF", "here 42 'quoted' \"twice\"\n\tindented\n\n", 0],
  ["cat <<'EOF' | tr a-z A-Z\n$literal \\n\nEOF\n", "$LITERAL \\N\n", 0],
  ["for i in 1 2 3\ndo\n  echo $i\ndone", "1\n2\n3\n", 0],
  ["echo é 😀 \u0081", "é 😀 \u0081\n", 0],
  ["printf '\\r\\n\\r\\r\\n'", "\r\n\r\r\n", 0],
  [`echo ${"long ".repeat(2000)}| wc -c`, "10000\n", 0],
  ["head -c 100000 /dev/zero | tr '\\0' x", "x".repeat(100_000), 0],
  ["if", /yntax error/, 2],
  ["echo 'unterminated", /quot|matching/, 2],
  ["echo out; echo err >&2; (exit 3)", "out\nerr\n", 3],
  ["printf '[    1.000000] not of the kernel\\n[    2.0'", "[    1.000000] not of the kernel\n[    2.0", 0],
  ["echo 'me@capsa:~$ '", "me@capsa:~$ \n", 0]
]

for (const [name, argv] of Object.entries(shells)) {
  const missing = Bun.which(argv[0]) === null
  describe(`run in ${name}${missing ? ` — skipped: there is no ${argv[0]} here` : ""}`, () => {
    const test = (title: string, body: () => Effect.Effect<unknown, unknown, import("effect/Scope").Scope>) =>
      live.skipIf(missing)(title, body, 60_000)

    test("gives output and exit status of commands of every kind, one after the other", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        for (const [command, output, exitCode] of commands) {
          const result = yield* console.run(command, { timeout })
          const shown = `${command.slice(0, 80)}: ${JSON.stringify(result.output.slice(0, 200))}`
          if (typeof output === "string") expect(result.output, shown).toBe(output)
          else expect(result.output, shown).toMatch(output)
          expect(result.exitCode, shown).toBe(exitCode)
          expect(result.lost).toBe(0)
        }
      }))

    test("is one session: folder, variables and functions stay", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        yield* console.run('cd /tmp; answer=42; greet() { echo "hello $1"; }', { timeout })
        expect((yield* console.run("pwd; echo $answer; greet you", { timeout })).output).toBe("/tmp\n42\nhello you\n")
      }))

    test("gives the bytes of binary output", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        const octal = Array.from({ length: 256 }, (_, byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")
        const { bytes } = yield* console.run(`printf '${octal}'`, { timeout })
        expect(Buffer.from(bytes)).toEqual(Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte)))
      }))

    test("knows a terminal that leaves line ends alone", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        yield* console.run("stty -onlcr", { timeout })
        expect((yield* console.run("printf 'a\\r\\nb\\n'", { timeout })).output).toBe("a\r\nb\n")
      }))

    test("consumes the coloured prompt that follows, if told of it", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        yield* console.run("true", { prompt, timeout })
        yield* console.run(`echo '${prompt}'`, { prompt, timeout })
        yield* console.writeLine("echo next")
        const { before } = yield* console.expect("echo next", { timeout })
        expect(before).not.toContain("me@")
      }))

    test("several at a time take turns", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        const numbers = Array.from({ length: 10 }, (_, index) => index)
        const results = yield* Effect.forEach(numbers, (n) => console.run(`echo ${n}; (exit ${n})`, { timeout }), {
          concurrency: "unbounded"
        })
        expect(results.map(({ output, exitCode }) => [output, exitCode])).toEqual(numbers.map((n) => [`${n}\n`, n]))
      }))

    test("a time-out consumes nothing; an interrupt ends the command, and the next runs", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        const error = yield* Effect.flip(console.run("sh -c 'echo begun; exec sleep 1000'", { timeout: "500 millis" }))
        expect(error).toMatchObject({
          reason: "Timeout",
          hint: expect.stringContaining("interrupt"),
          received: "begun\r\n",
          pattern: expect.stringContaining("sleep")
        })
        yield* console.expect("begun\r\n", { timeout })
        yield* console.interrupt
        expect((yield* console.run("echo after", { timeout })).output).toBe("after\n")
      }))

    test("under way ends with 130 when interrupted, in a program and in the shell itself", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        // The program says itself that it has begun: a key pressed while the shell starts it can get lost in the shell.
        const program = "sh -c 'echo begun; exec sleep 1000'"
        // busybox's own commands lock their output, and one that is interrupted then has the shell wait for the lock for good.
        const loop = name === "busybox" ? [] : ["echo begun; while :; do :; done"]
        for (const command of [program, ...loop]) {
          const running = yield* Effect.fork(console.run(command, { timeout }))
          yield* console.expect(/begun\r\n/, { timeout })
          yield* console.interrupt
          const { exitCode, output } = yield* Fiber.join(running)
          expect(output).toStartWith("begun\n")
          expect(exitCode).toBe(130)
        }
      }))

    test("takes the console's input, and eof ends it", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        const running = yield* Effect.fork(console.run("stty -echo; echo go; tr a-z A-Z; stty echo", { timeout }))
        yield* console.expect(/go\r\n/, { timeout })
        yield* console.writeLine("some input")
        yield* console.eof
        expect((yield* Fiber.join(running)).output).toBe("go\nSOME INPUT\n")
      }))

    test("fails when the shell ends under it", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        const error = yield* Effect.flip(console.run("echo last; exit 3", { timeout }))
        expect(error).toMatchObject({ reason: "Ended", received: expect.stringContaining("last") })
      }))

    test("tells how much of a long output has left the history", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv, 8192)
        const { output, lost, exitCode } = yield* console.run("head -c 50000 /dev/zero | tr '\\0' x; printf END", {
          timeout
        })
        expect(output).toEndWith("xEND")
        expect(output.length + lost).toBe(50_003)
        expect(exitCode).toBe(0)
      }))

    test("refuses what cannot be typed, and types nothing", () =>
      Effect.gen(function* () {
        const console = yield* consoleOf(argv)
        for (const command of ["echo \0", "x".repeat(50_000)]) {
          const error = yield* Effect.flip(console.run(command, { timeout }))
          expect(error).toMatchObject({
            reason: "InvalidInput",
            retryable: false,
            hint: expect.stringContaining("file")
          })
        }
        const { output } = yield* console.run("echo clean", { timeout })
        expect(output).toBe("clean\n")
        expect(Buffer.from(yield* console.history).toString()).not.toContain("xxxx")
      }))
  })
}
