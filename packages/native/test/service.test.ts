import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Service } from "@capsa/native"
import { holdings } from "@capsa/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "capsa-service-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const plan = (...hosts: ReadonlyArray<string>) => ({
  memoryMib: 64,
  shares: hosts.map((host, index) => ({ host, guest: "/", mode: "ro", tag: `share${index}`, cache: "auto" }) as const)
})

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Effect.scoped(effect))

/** vhost-user's GET_QUEUE_NUM, and the number that comes back. */
const queuesOf = (socket: number): bigint => {
  writeSync(socket, new Uint32Array([17, 1, 0]))
  const answer = new DataView(new ArrayBuffer(20))
  expect(readSync(socket, answer)).toBe(20)
  return answer.getBigUint64(12, true)
}

test("each share has a socket that answers, for as long as it is handed over", () =>
  run(
    Effect.gen(function* () {
      const service = yield* Service.serve(plan(folder, folder))
      const sockets = yield* service.handOver((sockets) =>
        Effect.sync(() => {
          for (const socket of sockets) expect(queuesOf(socket)).toBe(2n)
          return sockets
        })
      )
      expect(sockets).toHaveLength(2)
      for (const socket of sockets) expect(() => readSync(socket, new Uint8Array(1))).toThrow("EBADF")
    })
  ))

test("a folder that cannot be opened is told by its path and cause", async () => {
  const error = await run(Effect.flip(Service.serve(plan(folder, "/nonexistent/folder"))))
  expect(error).toMatchObject({
    status: "ShareFolder",
    operation: "open",
    subject: "/nonexistent/folder",
    errno: "ENOENT"
  })
})

test("what is served leaves nothing behind, whether it was handed over or not", async () => {
  const round = () =>
    run(
      Effect.gen(function* () {
        yield* Service.serve(plan(folder))
        const other = yield* Service.serve(plan(folder, folder))
        yield* other.handOver(() => Effect.void)
      })
    )
  await round()
  const before = holdings()
  for (let count = 0; count < 20; count++) await round()
  expect(holdings()).toEqual(before)
})
