/** A pool of real machines, on whichever backend: users, failures and deaths, and nothing left at the end. */
import { expect } from "bun:test"
import { Backend, VmBootError } from "@capsa/core"
import { givenBack, live, settled } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { launch, type Vm } from "../src/Vm.ts"
import * as VmPool from "../src/VmPool.ts"
import { backend, backendName, quick } from "./fixtures/realBackend.ts"

const max = 6
const users = 12
const testMs = 600_000

/** Fails one boot in five, for the two kinds of causes that pass by turns, and counts the machines there are. */
const makeHost = () => {
  const host = { boots: 0, alive: 0, most: 0 }
  const count = Effect.acquireRelease(
    Effect.sync(() => {
      host.boots++
      host.alive++
      host.most = Math.max(host.most, host.alive)
    }),
    () => Effect.sync(() => host.alive--)
  )
  const hostFails = new VmBootError({ reason: "HostResources", detail: "No room.", hint: "Close something." })
  const guestFails = new VmBootError({ reason: "GuestEnded", detail: "It ended.", hint: "Read its console." })
  const faulty = (real: Backend["Type"]): Backend["Type"] => ({
    ...real,
    boot: (plan) =>
      Effect.flatMap(count, () => {
        if (host.boots % 5 !== 3) return real.boot(plan)
        return Effect.zipRight(real.boot(plan), host.boots % 2 === 0 ? hostFails : guestFails)
      })
  })
  return { host, faulty }
}

/** Types a command whose answer differs from its own echo. */
const ask = (vm: Vm, sum: string) =>
  vm.console.writeLine(`echo answer=$((${sum}))`).pipe(
    Effect.zipRight(vm.console.expect(/answer=(\d+)\r\n/, { timeout: "1 minute" })),
    Effect.map(({ match }) => Number(match[1]))
  )

live(
  `${users} users of at most ${max} machines on ${backendName}: each gets a fresh one, though one boot in five fails`,
  () => {
    const { faulty, host } = makeHost()
    return Effect.gen(function* () {
      // A word of the kernel's in the middle of an answer would hide it.
      const config = { boot: { ...quick, cmdline: "loglevel=1" }, memory: 128 }
      // What the first machine brings along stays.
      const before = yield* Effect.zipRight(Effect.scoped(launch(config)), settled)
      const scope = yield* Scope.make()
      const readied = yield* Queue.unbounded<Vm>()
      const ready = (vm: Vm) => Effect.zipRight(vm.console.expect("capsa# "), Queue.offer(readied, vm))
      const pool = yield* Scope.extend(VmPool.make({ config, min: 2, max, ready }), scope)
      const ids = new Set<string>()
      const use = Effect.fnUntraced(function* (user: number) {
        const vm = yield* pool.acquire
        ids.add(vm.id)
        expect(yield* ask(vm, `${user} + 100`)).toBe(user + 100)
        // Machines come back running, switched off and dead.
        if (user % 3 === 1) yield* vm.stop({ grace: "1 minute" })
        if (user % 3 === 2) yield* vm.kill
      }, Effect.scoped)
      yield* Effect.forEach(
        Array.from({ length: users }, (_, user) => user),
        use,
        { concurrency: "unbounded" }
      )

      expect(ids.size).toBe(users)
      expect(host.most).toBeLessThanOrEqual(max)
      const stats = yield* pool.stats
      expect(stats).toMatchObject({ inUse: 0, waiting: 0, hits: users - stats.misses, waits: { count: stats.misses } })
      expect(stats.launchFailures).toBeGreaterThan(0)

      // One that ends while nobody uses it is given to nobody.
      const idle = yield* Queue.take(readied).pipe(Effect.repeat({ until: ({ id }) => !ids.has(id) }))
      yield* idle.kill
      const other = yield* pool.acquire
      expect(other.id).not.toBe(idle.id)
      expect(yield* ask(other, "40 + 2")).toBe(42)
      yield* Scope.close(scope, Exit.void)
      expect(host.alive).toBe(0)
      expect(yield* other.wait).toEqual({ _tag: "Killed" })
      yield* givenBack(before)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.Error), Effect.updateService(Backend, faulty), Effect.provide(backend))
  },
  testMs
)
