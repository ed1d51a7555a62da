import { expect, test } from "bun:test"
import { host } from "@capsa/guest/Architecture"
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
    architecture: host,
    gic: 3,
    command: ["sh", "--icount"]
  })
})

test("an arm64 lab has options of its own", () => {
  const words = ["--arch", "aarch64", "--gic", "2", "--processor", "cortex-a72", "--", "ls"]
  expect(Either.getOrThrow(parseArguments(words))).toMatchObject({
    architecture: "arm64",
    gic: 2,
    processor: "cortex-a72"
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
  [["--arch", "riscv64", "--", "ls"], "--arch riscv64"],
  [["--gic", "4", "--", "ls"], "--gic 4"],
  [["--nosuch", "1", "--", "ls"], "--nosuch"]
])("%j is refused", (words, cause) => {
  expect(Either.getOrThrow(Either.flip(parseArguments(words)))).toContain(cause)
})
