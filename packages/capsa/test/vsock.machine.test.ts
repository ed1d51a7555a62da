/**
 * Vsock with a real guest. CAPSA_TEST_VSOCK=full does it on the scale that is promised: a thousand connections, 1 GiB, two
 * hundred rounds.
 */
import { describe, expect } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import type { Backend } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { givenBack, live, settled } from "@capsa/testing"
import { type Cause, type ofVsock, produces } from "@capsa/testing/failures"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Vm from "../src/Vm.ts"
import type * as Vsock from "../src/Vsock.ts"
import { backend, backendName, capabilities } from "./fixtures/realBackend.ts"
import * as Guest from "./fixtures/vsockGuest.ts"

const isFull = Bun.env["CAPSA_TEST_VSOCK"] === "full"
const connections = isFull ? 1000 : 100
const totalBytes = isFull ? 2 ** 30 : 2 ** 24
const slowReaders = isFull ? 200 : 20
const rounds = isFull ? 200 : 10
const echoedBytes = isFull ? 2 ** 26 : 2 ** 20

/** Emulators in emulators are slow. */
const patience = "2 minutes"
const testMs = isFull ? 3_600_000 : 600_000

const { vsock: support } = capabilities.features
const skipped = support.supported ? undefined : `${backendName} has no vsock: ${support.reason}`

const test = (
  name: string,
  body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>,
  missing: string | undefined = undefined
) => {
  const cause = skipped ?? missing
  live.skipIf(cause !== undefined)(
    cause === undefined ? name : `${name} — skipped: ${cause}`,
    () => Effect.provide(body(), backend),
    testMs
  )
}

const config = { boot: Guest.boot, memory: isFull ? 512 : 256, vsock: true } as const

/** A machine whose program listens. */
const launched = Effect.tap(Vm.launch(config), ({ console }) => console.expect(Guest.listening, { timeout: patience }))

const portOf = (index: number) => Guest.firstPort + (index % Guest.portCount)

/** A connection on which the guest does what a line says. */
const doing = (vm: Vm.Vm, line: string, index = 0) =>
  Effect.tap(vm.vsock.connect(portOf(index), { timeout: patience }), ({ write }) => write(`${line}\n`))

const show = (what: string, figures: object) =>
  Effect.sync(() => void process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`))

const anonymousMiB = () => Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

const all = <A, E, R>(count: number, effect: (index: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    effect,
    { concurrency: "unbounded" }
  )

/** Says hello to an echo. */
const greets = (connection: Vsock.VsockConnection, text: string) =>
  Effect.zipRight(connection.write(text), Guest.readSome(connection, text.length))

describe(`vsock on ${backendName}`, () => {
  test(`${connections} connections to ten ports carry ${totalBytes / 2 ** 20} MiB, all of it right`, () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const each = Math.floor(totalBytes / connections)
      const before = anonymousMiB()
      const [opening, open] = yield* Effect.timed(
        all(connections, (index) => doing(vm, index % 2 === 0 ? "sink" : `source ${each}`, index))
      )
      const { vsockConnections } = yield* vm.stats
      expect(vsockConnections).toBe(connections)
      const [carrying] = yield* Effect.timed(
        Effect.forEach(
          open,
          (connection, index) =>
            Effect.gen(function* () {
              if (index % 2 === 0) {
                yield* Guest.writeText(connection, each)
                yield* connection.end
                expect(yield* Guest.readAll(connection)).toBe(`${each} right\n`)
              } else {
                expect(yield* Guest.readText(connection)).toEqual({ bytes: each, right: true })
                yield* connection.end
              }
            }),
          { concurrency: "unbounded" }
        )
      )
      const { vsockReceivedBytes, vsockSentBytes } = yield* vm.stats
      yield* show("many connections", {
        connections,
        openingMs: Duration.toMillis(opening),
        bytes: each * connections,
        carryingMs: Duration.toMillis(carrying),
        vsockSentBytes,
        vsockReceivedBytes,
        grownMiB: anonymousMiB() - before
      })
    }))

  test(`the guest makes ${connections} connections to ten ports of the host`, () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const each = 10_000
      const perPort = connections / Guest.portCount
      const serve = (port: number) =>
        vm.vsock.listen(port).pipe(
          Stream.take(perPort),
          Stream.mapEffect((connection) => Effect.zipLeft(Guest.readText(connection), connection.end), {
            concurrency: "unbounded"
          }),
          Stream.runForEach((got) => Effect.sync(() => expect(got).toEqual({ bytes: each, right: true })))
        )
      const serving = yield* Effect.fork(all(Guest.portCount, (index) => serve(5000 + index)))
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => existsSync(`${vm.vsock.path}_5009`) })
      const answers = yield* all(Guest.portCount, (index) =>
        Effect.flatMap(doing(vm, `call ${5000 + index} ${perPort} source ${each}`), Guest.readAll)
      )
      for (const answer of answers) expect(answer).toBe(`${perPort} connected\n`)
      yield* Fiber.join(serving)
      // Now nobody listens any more.
      expect(yield* Effect.flatMap(doing(vm, "call 5000 3 echo"), Guest.readAll)).toBe("0 connected\n")
    }))

  test(`8 connections carry ${echoedBytes / 2 ** 20} MiB both ways at once`, () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const echoes = yield* all(8, (index) => doing(vm, "echo", index))
      const carry = (echo: Vsock.VsockConnection) =>
        Effect.zipRight(Effect.zipRight(Guest.writeText(echo, echoedBytes), echo.end), Guest.readText(echo), {
          concurrent: true
        })
      const [carrying, got] = yield* Effect.timed(Effect.forEach(echoes, carry, { concurrency: "unbounded" }))
      for (const each of got) expect(each).toEqual({ bytes: echoedBytes, right: true })
      const { vsockReceivedBytes, vsockSentBytes } = yield* vm.stats
      yield* show("both ways", { carryingMs: Duration.toMillis(carrying), vsockSentBytes, vsockReceivedBytes })
    }))

  test("slow readers cost what was promised, and hold nobody up", () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const before = anonymousMiB()
      yield* all(slowReaders, (index) => doing(vm, "source 1000000000", index))
      const stalled = yield* all(slowReaders, (index) => doing(vm, "stall", index))
      let written = 0
      const piece = Guest.textAt(0)
      const writers = yield* Effect.forEach(stalled, ({ write }) =>
        Effect.fork(Effect.forever(Effect.tap(write(piece), () => Effect.sync(() => (written += piece.length)))))
      )
      // Until nothing goes on any more, which a connection in between shows to be the slow ones' own doing.
      const echo = yield* doing(vm, "echo")
      const quiet: Effect.Effect<void, unknown> = Effect.gen(function* () {
        const [was, { vsockReceivedBytes }] = [written, yield* vm.stats]
        for (let i = 0; i < 10; i++) expect(yield* greets(echo, "are you there?")).toBe("are you there?")
        yield* Effect.sleep("500 millis")
        const now = (yield* vm.stats).vsockReceivedBytes ?? 0
        if (written !== was || now - (vsockReceivedBytes ?? 0) > 1000) yield* quiet
      })
      yield* quiet
      const grownMiB = anonymousMiB() - before
      const { vsockReceivedBytes = 0 } = yield* vm.stats
      const perReader = { sent: written / slowReaders, received: vsockReceivedBytes / slowReaders }
      yield* show("slow readers", { slowReaders, grownMiB, ...perReader })
      // 256 KiB of ours, 64 KiB of the library's, and what the host's kernel keeps; in the guest its own 256 KiB.
      expect(perReader.received).toBeLessThan(2 ** 20)
      expect(perReader.sent).toBeLessThan(2 ** 20)
      expect(grownMiB).toBeLessThan(32 + slowReaders)
      for (const writer of writers) yield* Fiber.interrupt(writer)
    }))

  test("who connects before the guest has a driver waits for it", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch(config)
      const early = yield* all(20, () => Effect.fork(Effect.either(vm.vsock.connect(Guest.firstPort))))
      // The driver comes before the program, so the first are refused; whoever goes on listening gets through.
      const connection = yield* vm.vsock
        .connect(Guest.firstPort)
        .pipe(
          Effect.retry({ while: ({ retryable }) => retryable, schedule: Schedule.spaced("20 millis") }),
          Effect.timeout(patience)
        )
      yield* connection.write("echo\n")
      expect(yield* greets(connection, "first!")).toBe("first!")
      for (const either of yield* Fiber.joinAll(early)) {
        if (either._tag === "Left") expect(either.left).toMatchObject({ reason: "Refused" })
      }
      const { stages } = vm
      expect((yield* stages).map(({ name }) => name)).toContain("init")
    }))

  test("a driver that is taken away breaks connections off, and one that comes back serves again", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ ...config, boot: Guest.withShell })
      yield* vm.console.expect("capsa# ", { timeout: patience })
      yield* vm.console.writeLine("vsock &")
      yield* vm.console.expect(Guest.listening, { timeout: patience })
      const before = yield* all(10, (index) => doing(vm, "echo", index))
      for (const connection of before) expect(yield* greets(connection, "hello")).toBe("hello")
      const driver = "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport"
      yield* vm.console.run(`cd ${driver} && device=$(echo virtio*) && echo $device >unbind`, { timeout: patience })
      yield* Effect.timeout(
        all(10, (index) => Effect.exit(Stream.runDrain(before[index]?.readable ?? Stream.empty))),
        patience
      )
      for (const { write } of before) expect(yield* Effect.flip(write("x"))).toMatchObject({ reason: "Closed" })
      // While there is no driver, who comes waits for the next.
      const waiting = yield* Effect.fork(doing(vm, "echo"))
      yield* vm.console.run(`echo $device >${driver}/bind`, { timeout: patience })
      expect(yield* greets(yield* Fiber.join(waiting), "again")).toBe("again")
    }))

  test("a machine that is killed in the middle breaks every connection off", () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const reading = yield* all(20, (index) => doing(vm, "source 1000000000", index))
      const writing = yield* all(20, (index) => doing(vm, "sink", index))
      const listening = yield* Effect.fork(Stream.runDrain(vm.vsock.listen(6000)))
      const running = yield* Effect.fork(
        Effect.all(
          [
            ...reading.map(({ readable }) => Effect.flip(Stream.runDrain(readable))),
            ...writing.map(({ write }) => Effect.flip(Effect.forever(write(Guest.textAt(0)))))
          ],
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.repeat(vm.stats, {
        until: ({ vsockReceivedBytes = 0, vsockSentBytes = 0 }) => vsockReceivedBytes > 1e6 && vsockSentBytes > 1e6,
        schedule: Schedule.spaced("20 millis")
      })
      yield* vm.kill
      const [ending, errors] = yield* Effect.timed(Effect.timeout(Fiber.join(running), patience))
      for (const error of errors) expect(error).toMatchObject({ _tag: "VsockError", reason: "Closed" })
      yield* Fiber.join(listening)
      expect(yield* Effect.flip(vm.vsock.connect(Guest.firstPort))).toMatchObject({ reason: "NotRunning" })
      expect(existsSync(vm.vsock.path ?? "")).toBe(false)
      yield* show("killed", { connections: errors.length, endingMs: Duration.toMillis(ending) })
    }))

  test("a guest that powers off takes its path along", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ ...config, boot: Guest.withShell })
      yield* vm.console.expect("capsa# ", { timeout: patience })
      expect(existsSync(vm.vsock.path ?? "")).toBe(true)
      yield* vm.stop({ grace: patience })
      expect(existsSync(vm.vsock.path ?? "")).toBe(false)
    }))

  test(`${rounds} machines that are killed leave nothing`, () =>
    Effect.gen(function* () {
      const round = Effect.scoped(
        Effect.gen(function* () {
          const vm = yield* Vm.launch(config)
          const connecting = yield* Effect.fork(vm.vsock.connect(Guest.firstPort))
          const listening = yield* Effect.fork(Stream.runDrain(vm.vsock.listen(1)))
          yield* vm.kill
          yield* Fiber.await(connecting)
          yield* Fiber.await(listening)
        })
      )
      yield* round
      const before = yield* settled
      yield* Effect.repeatN(round, rounds - 1)
      yield* givenBack(before)
      yield* show("rounds", { rounds, ...before })
    }))

  test("a pool of connections is used by many", () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const pool = yield* vm.vsock.pool({ port: Guest.firstPort, max: 4 })
      const ask = (index: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* pool.acquire
            yield* connection.write(index < 4 ? "echo\n" : "")
            return yield* greets(connection, `number ${index}`)
          })
        )
      expect(yield* Effect.forEach([0, 1, 2, 3], ask, { concurrency: 4 })).toHaveLength(4)
      const answers = yield* all(100, (index) => ask(index + 4))
      expect(answers).toEqual(answers.map((_, index) => `number ${index + 4}`))
      expect((yield* vm.stats).vsockConnections).toBe(4)
    }))

  test("what lies idle in a pool for too long is closed, and what is asked for then is new", () =>
    Effect.gen(function* () {
      const vm = yield* launched
      const pool = yield* vm.vsock.pool({ port: Guest.firstPort, max: 2, idleTimeToLive: "1 second" })
      const ask = Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* pool.acquire
          yield* connection.write("echo\n")
          return yield* greets(connection, "new")
        })
      )
      expect(yield* ask).toBe("new")
      expect((yield* pool.stats).idle).toBe(1)
      yield* Effect.timeout(
        Effect.repeat(vm.stats, {
          until: ({ vsockConnections }) => vsockConnections === 0,
          schedule: Schedule.spaced("20 millis")
        }),
        patience
      )
      expect((yield* pool.stats).idle).toBe(0)
      // To an old one "echo" would be something to send back.
      expect(yield* ask).toBe("new")
    }))

  const noSocat = Bun.which("socat") === null ? "socat is not installed" : undefined

  test(
    "socat connects to a port of the guest, and serves one of the host",
    () =>
      Effect.gen(function* () {
        const vm = yield* launched
        const path = vm.vsock.path ?? ""
        const asked = Bun.spawn(["socat", "-t60", "-", `UNIX-CONNECT:${path}`], { stdin: "pipe", stdout: "pipe" })
        asked.stdin.write(`CONNECT ${Guest.firstPort}\necho\nby socat`)
        asked.stdin.end()
        expect(yield* Effect.promise(() => asked.stdout.text())).toMatch(/^OK \d+\nby socat$/)
        const serving = Bun.spawn(["socat", "-u", `UNIX-LISTEN:${path}_77`, "-"], { stdout: "pipe" })
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => existsSync(`${path}_77`) })
        const answer = yield* Effect.flatMap(doing(vm, "call 77 1 source 100000"), Guest.readAll)
        expect(answer).toBe("1 connected\n")
        const got = yield* Effect.promise(() => serving.stdout.bytes())
        expect([got.length, Guest.isText(got, 0)]).toEqual([100_000, true])
      }),
    noSocat
  )
})

const causes: Record<(typeof ofVsock)[number], Cause<unknown, Backend | Scope.Scope>> = {
  "VsockError.NotRunning": {
    happens: Effect.flatMap(launched, (vm) => Effect.zipRight(vm.kill, vm.vsock.connect(1))),
    says: { port: 1, hint: expect.stringContaining("vm.wait") },
    skipped
  },
  "VsockError.Refused": {
    happens: Effect.flatMap(launched, ({ vsock }) => vsock.connect(4711)),
    says: { port: 4711, message: expect.stringContaining("4711"), retryable: true },
    skipped
  },
  "VsockError.TimedOut": {
    happens: Effect.flatMap(launched, (vm) =>
      Effect.zipRight(vm.pause, vm.vsock.connect(Guest.firstPort, { timeout: "100 millis" }))
    ),
    says: { port: Guest.firstPort, hint: expect.stringContaining("paused") },
    skipped
  },
  "VsockError.Closed": {
    happens: Effect.flatMap(launched, (vm) =>
      Effect.flatMap(doing(vm, "drop"), ({ write }) => Effect.forever(Effect.zipRight(write("x"), Effect.sleep(10))))
    ),
    says: { port: Guest.firstPort },
    skipped
  }
}

produces(Failure.Failure, causes, (effect) => effect.pipe(Effect.scoped, Effect.provide(backend)), {
  timeoutMs: testMs
})
