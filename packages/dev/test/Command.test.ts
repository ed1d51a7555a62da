import { expect, test } from "bun:test"
import { run } from "../src/Command.ts"

test("gives lines of both streams as they come, and stdout apart", async () => {
  const lines: Array<string> = []
  const finished = await run(["sh", "-c", "echo one; echo two >&2; printf three"], {
    onLine: (line) => lines.push(line)
  })
  expect(lines.toSorted()).toEqual(["one", "three", "two"])
  expect(finished.stdout).toBe("one\nthree\n")
  expect(finished.exitCode).toBe(0)
})

test("keeps characters whole that arrive in pieces", async () => {
  const finished = await run(["sh", "-c", "printf '\\303'; sleep 0.05; printf '\\244\\n'"])
  expect(finished.stdout).toBe("ä\n")
})

test("passes on the exit status, that of a signal too", async () => {
  expect((await run(["sh", "-c", "exit 7"])).exitCode).toBe(7)
  expect((await run(["sh", "-c", "kill -9 $$"])).exitCode).toBe(137)
})

test("says of a missing program that it is missing", async () => {
  const finished = await run(["capsa-has-no-such-program"])
  expect(finished.exitCode).toBe(127)
  expect(finished.output).toContain("capsa-has-no-such-program: command not found")
})

test("ends a program that takes too long", async () => {
  expect((await run(["sleep", "60"], { timeoutMs: 50 })).exitCode).toBe(143)
})
