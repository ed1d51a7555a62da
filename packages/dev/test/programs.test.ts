/** The commands' own arguments; what they do is tested part by part. */
import { expect, test } from "bun:test"
import { run } from "../src/Command.ts"

test.each([
  ["setup", ["everything"], "use `setup` or `setup demo`"],
  ["check", ["nothing"], "c-lint"],
  ["test", ["unit", "nothing"], "machines"]
])("%s refuses what it doesn't know and says what there is", async (program, words, hint) => {
  const finished = await run([process.execPath, `packages/dev/src/${program}.ts`, ...words])
  expect(finished.output).toContain("error: ")
  expect(finished.output).toContain(hint)
  expect(finished.exitCode).toBe(1)
})
