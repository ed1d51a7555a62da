import { afterAll, beforeAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NetworkPlan from "@capsa/core/NetworkPlan"
import { Native, type Service } from "@capsa/native"
import { givenBack, settled } from "@capsa/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "capsa-service-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const plan = (...hosts: ReadonlyArray<string>): Service.ServicePlan => ({
  vsock: false,
  memoryMib: 64,
  shares: hosts.map((host, index) => ({ host, guest: "/", mode: "ro", tag: `share${index}`, cache: "auto" }) as const)
})

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Native.Native>) =>
  Effect.runPromise(Effect.provide(Effect.scoped(effect), Native.layer))

const serve = (plan: Service.ServicePlan, paths: Native.ServicePaths = { devices: join(folder, "device") }) =>
  Effect.flatMap(Native.Native, (native) => native.serve(plan, paths))

/** vhost-user's GET_QUEUE_NUM, and the number that comes back. */
const queuesOf = (path: string) =>
  Effect.promise(() => {
    const { promise, resolve } = Promise.withResolvers<bigint>()
    void Bun.connect({
      unix: path,
      socket: {
        open: (socket) => void socket.write(new Uint8Array(new Uint32Array([17, 1, 0]).buffer)),
        data: (socket, bytes) => {
          resolve(bytes.readBigUInt64LE(12))
          socket.end()
        }
      }
    })
    return promise
  })

test("each device has a socket that answers, and when all have hung up it is over", () =>
  run(
    Effect.gen(function* () {
      const paths = { devices: join(folder, "device"), vsock: join(folder, "vsock") }
      const network = NetworkPlan.make({ mode: "user" }, "11111111-2222-4333-8444-555555555555")
      const service = yield* serve({ ...plan(folder, folder), network, vsock: true }, paths)
      expect(service).toMatchObject({
        sockets: ["device0", "device1", "device2", "device3"].map((name) => join(folder, name)),
        mtu: 16384,
        vsockPath: paths.vsock
      })
      expect(existsSync(paths.vsock)).toBe(true)
      for (const socket of service.sockets) expect(yield* queuesOf(socket)).toBe(2n)
      yield* service.ended
      expect(existsSync(paths.vsock)).toBe(false)
    })
  ))

test("a network is explained and changed while it is served", () =>
  run(
    Effect.gen(function* () {
      const network = NetworkPlan.make({ mode: "user" }, "11111111-2222-4333-8444-555555555555")
      const service = yield* serve({ ...plan(), network })
      const flow = { protocol: "tcp", address: "198.51.100.1", port: 80 } as const
      expect(yield* service.network?.explain(flow) ?? Effect.void).toMatchObject({ action: "allow" })
      yield* service.end
      yield* service.ended
    })
  ))

test("a folder that cannot be opened is told by its path and cause", async () => {
  const error = await run(Effect.flip(serve(plan(folder, "/nonexistent/folder"))))
  expect(error).toMatchObject({
    status: "ShareFolder",
    operation: "open",
    subject: "/nonexistent/folder",
    errno: "ENOENT"
  })
})

test("what is served leaves nothing behind, whether anybody connected or not", async () => {
  const round = () =>
    run(
      Effect.gen(function* () {
        yield* serve(plan(folder))
        const other = yield* serve(plan(folder, folder), { devices: join(folder, "other") })
        for (const socket of other.sockets) yield* queuesOf(socket)
      })
    )
  await round()
  const before = await Effect.runPromise(settled)
  for (let count = 0; count < 20; count++) await round()
  await Effect.runPromise(givenBack(before))
  expect(readdirSync(folder)).toEqual([])
})
