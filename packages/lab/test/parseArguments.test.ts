import { expect, test } from "bun:test"
import * as Either from "effect/Either"
import { parseArguments } from "../src/internal/parseArguments.ts"

test("options come before the command, whose own options are left alone", () => {
  const words = [
    "--icount",
    "--memory",
    "512",
    "--cpus",
    "4",
    "--mount",
    "/a:/b",
    "--mount",
    "/c:/d",
    "--",
    "sh",
    "--icount"
  ]
  expect(Either.getOrThrow(parseArguments(words))).toEqual({
    icount: true,
    memoryMib: 512,
    cpus: 4,
    mounts: [
      { host: "/a", guest: "/b" },
      { host: "/c", guest: "/d" }
    ],
    command: ["sh", "--icount"]
  })
})

test("without options, and without the separator that bun run takes away", () => {
  expect(Either.getOrThrow(parseArguments(["ls", "-l"])).command).toEqual(["ls", "-l"])
})

test.each([
  [[], "no command"],
  [["--icount", "--"], "no command"],
  [["--memory", "4G", "--", "ls"], "--memory 4G"],
  [["--memory"], "--memory"],
  [["--cpus", "0", "--", "ls"], "--cpus 0"],
  [["--mount", "/a", "--", "ls"], "--mount /a"],
  [["--arch", "aarch64", "--", "ls"], "--arch aarch64"],
  [["--nosuch", "1", "--", "ls"], "--nosuch"]
])("%j is refused", (words, cause) => {
  expect(Either.getOrThrow(Either.flip(parseArguments(words)))).toContain(cause)
})
