import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import * as Busybox from "@capsa/guest/Busybox"
import * as Debian from "@capsa/guest/Debian"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"

test("the commands are those that busybox lists itself", async () => {
  const { program } = await Effect.runPromise(Effect.provide(Debian.busybox, BunContext.layer))
  const listed = Bun.spawnSync([program, "--list"]).stdout.toString().trim().split("\n")
  expect(Busybox.commandsOf(readFileSync(program))).toEqual(listed)
})

test("a program without a list has no commands", () => {
  expect(Busybox.commandsOf(new Uint8Array(100))).toEqual([])
})
