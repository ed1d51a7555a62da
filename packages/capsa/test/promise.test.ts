/** The promise facade, on simulated machines: what a script sees that knows nothing of Effect. */
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { MachineError } from "@capsa/core"
import { Simulated } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as capsa from "../src/promise.ts"
import { transcript, understand } from "./fixtures/typedShell.ts"
import * as VsockPeer from "./fixtures/vsockPeer.ts"

const simulated = (options?: Simulated.SimulatedOptions) => ({ backend: Simulated.layer(options) })
const silent: Simulated.Script = () => Effect.never

/** What a promise is rejected with. */
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable("the promise was not rejected"),
    (reason: unknown) => reason
  )

/** A layer that tells how often it was built and released. */
const counted = (options?: Simulated.SimulatedOptions) => {
  const count = { built: 0, open: 0 }
  const life = Effect.acquireRelease(
    Effect.sync(() => {
      count.built++
      count.open++
    }),
    () => Effect.sync(() => void count.open--)
  )
  return { count, backend: Layer.merge(Simulated.layer(options), Layer.scopedDiscard(life)) }
}

describe("a machine by promises", () => {
  test("boots, talks and stops", async () => {
    await using vm = await capsa.launch({ name: "one", cpus: 3 }, simulated())
    expect(vm.name).toBe("one")
    expect(vm.config).toEqual({ name: "one", cpus: 3 })
    expect(vm.backend.name).toBe("simulated")
    await vm.console.expect("capsa# ")
    await vm.console.writeLine("nproc")
    const { match } = await vm.console.expect(/^(\d+)\r\n/m, { timeout: "10 seconds" })
    expect(match[1]).toBe("3")
    expect(Buffer.from(await vm.console.history()).toString()).toContain("capsa: init")
    expect(await vm.console.lost()).toBe(0)
    expect(await vm.stats()).toEqual({})
    await vm.pause()
    expect(await vm.status()).toEqual({ _tag: "Paused" })
    await vm.resume()
    const exits = await Promise.all([vm.stop({ grace: "10 seconds" }), vm.wait(), vm.wait()])
    for (const exit of exits) expect(exit).toEqual({ _tag: "PowerOff" })
    expect(await vm.status()).toEqual({ _tag: "Ended", exit: { _tag: "PowerOff" } })
  })

  test("is logged in to, runs commands, and is read from its first byte", async () => {
    const guest: Simulated.Script = ({ print, readLine }) =>
      Effect.gen(function* () {
        yield* print("login: ")
        const user = yield* readLine
        yield* print("# ")
        const keys = yield* readLine
        let typed = ""
        while (understand(typed) === undefined) typed += `${yield* readLine}\r`
        const { command, nonce } = understand(typed) ?? { command: "", nonce: "" }
        const output = Buffer.from(`${user} ${JSON.stringify(keys)} ${command}`)
        yield* print(transcript({ typed, nonce, output, exitCode: 3, prompt: "# " }))
        return { _tag: "PowerOff" }
      })
    await using vm = await capsa.launch({}, simulated({ guest }))
    await vm.console.login({ user: "me" })
    await vm.console.interrupt()
    await vm.console.eof()
    await vm.console.writeLine("")
    const result = await vm.console.run("uname", { prompt: "# ", timeout: "10 seconds" })
    expect(result).toMatchObject({ output: 'me "\\u0003\\u0004" uname', exitCode: 3 })
    for await (const { bytes, position } of vm.console.chunksFrom(0)) {
      expect(position).toBe(0)
      expect(Buffer.from(bytes).toString()).toStartWith("login: # ")
      break
    }
  })

  test("is killed at the end of its block, and still answers", async () => {
    const { backend, count } = counted({ guest: silent })
    let kept: capsa.Vm | undefined
    {
      await using vm = await capsa.launch({}, { backend })
      kept = vm
    }
    expect(count.open).toBe(0)
    expect(await kept.wait()).toEqual({ _tag: "Killed" })
    await kept.close()
  })

  test("shares its backend with others, and the last one closes it", async () => {
    const { backend, count } = counted({ guest: silent })
    const one = await capsa.launch({}, { backend })
    const two = await capsa.launch({}, { backend })
    expect(count).toEqual({ built: 1, open: 1 })
    await one.close()
    expect(count.open).toBe(1)
    // One that ends by itself needs no closing.
    await two.kill()
    await two.close()
    expect(count.open).toBe(0)
    await (await capsa.launch({}, { backend })).close()
    expect(count).toEqual({ built: 2, open: 0 })
  })
})

describe("a pool by promises", () => {
  test("gives each machine to one user, and takes it back", async () => {
    const { backend, count } = counted()
    const seen: Array<string> = []
    {
      await using pool = await capsa.pool({
        backend,
        config: { memory: 64 },
        max: 1,
        ready: (vm, { signal }) => vm.console.expect("capsa# ", { signal }),
        reset: async (vm) => void seen.push(vm.id)
      })
      expect(await pool.tryAcquire()).toBeUndefined()
      const first = await pool.acquire()
      const second = pool.acquire()
      await first.close()
      await using vm = await second
      expect(vm.id).toBe(first.id)
      expect(seen).toEqual([vm.id])
      expect(await pool.stats()).toMatchObject({ size: 1, inUse: 1, spawns: { count: 1 } })
    }
    expect(count.open).toBe(0)
  })

  test("tells who waits that it was closed, or that the wait was aborted", async () => {
    const pool = await capsa.pool({ ...simulated(), config: {}, max: 1 })
    const held = await pool.acquire()
    const reason = new Error("no longer")
    expect(await rejection(pool.acquire({ signal: AbortSignal.abort(reason) }))).toBe(reason)
    const waiting = rejection(pool.acquire())
    await pool.close()
    expect(await waiting).toMatchObject({ _tag: "PoolError", reason: "Closed" })
    expect(await held.wait()).toEqual({ _tag: "Killed" })
    await held.close()
  })

  test("refuses what cannot be", async () => {
    const error = await rejection(capsa.pool({ ...simulated(), config: {}, max: 0 }))
    expect(error).toBeInstanceOf(capsa.PoolError)
    expect(error).toMatchObject({ reason: "Invalid" })
  })
})

describe("errors are the same classes", () => {
  test("of a launch", async () => {
    const error = await rejection(capsa.launch({ cpus: 0 }, simulated()))
    expect(error).toBeInstanceOf(capsa.VmConfigError)
    expect(error).toMatchObject({ _tag: "VmConfigError", reason: "Invalid" })
  })

  test("of a backend, which is none", async () => {
    const error = await rejection(capsa.launch({}, { backend: "vz" }))
    expect(error).toBeInstanceOf(capsa.BackendError)
    expect(error).toMatchObject({ reason: "UnknownBackend", subject: "backend" })
  })

  test("of a call: the very error of the backend", async () => {
    const refusal = new MachineError({ reason: "HostFailure", detail: "No.", hint: "Ask again." })
    await using vm = await capsa.launch({}, simulated({ beforeOperation: () => refusal }))
    expect(await rejection(vm.pause())).toBe(refusal)
    const late = await rejection(vm.console.expect("what never comes", { timeout: 1 }))
    expect(late).toBeInstanceOf(capsa.ConsoleError)
    expect(late).toMatchObject({ reason: "Timeout" })
  })
})

describe("an AbortSignal", () => {
  test("that is aborted before, or while a machine boots, leaves nothing of it", async () => {
    const { backend, count } = counted({ beforeStage: () => Effect.never })
    const before = AbortSignal.abort(new Error("before"))
    expect(await rejection(capsa.launch({}, { backend, signal: before }))).toBe(before.reason)
    const controller = new AbortController()
    const launching = rejection(capsa.launch({}, { backend, signal: controller.signal }))
    while (count.open === 0) await new Promise<void>((resolve) => setImmediate(resolve))
    controller.abort("changed my mind")
    expect(await launching).toBe("changed my mind")
    expect(count.open).toBe(0)
  })

  test("ends any long call, and the machine lives on", async () => {
    await using vm = await capsa.launch({}, simulated({ guest: silent, beforeOperation: () => Effect.never }))
    for (const call of [
      (signal: AbortSignal) => vm.wait({ signal }),
      (signal: AbortSignal) => vm.console.expect("what never comes", { signal }),
      (signal: AbortSignal) => vm.pause({ signal })
    ]) {
      const controller = new AbortController()
      const calling = rejection(call(controller.signal))
      controller.abort()
      expect(await calling).toBe(controller.signal.reason)
    }
    expect(await vm.status()).toEqual({ _tag: "Running" })
  })

  test("that is aborted later does not matter", async () => {
    const controller = new AbortController()
    await using vm = await capsa.launch({}, { ...simulated({ guest: silent }), signal: controller.signal })
    controller.abort()
    expect(await vm.status()).toEqual({ _tag: "Running" })
  })
})

describe("an async iterable", () => {
  test("tells every status and stage up to the end", async () => {
    await using vm = await capsa.launch({ readyTimeout: "10 seconds" }, simulated())
    const collected = Promise.all([Array.fromAsync(vm.statusChanges), Array.fromAsync(vm.stageChanges)])
    await vm.stop()
    const [statuses, stages] = await collected
    expect(statuses.at(-1)?._tag).toBe("Ended")
    expect(stages.map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
  })

  test("can be left in the middle, and begun anew", async () => {
    await using vm = await capsa.launch({}, simulated())
    for await (const status of vm.statusChanges) {
      expect(status._tag).toBe("Running")
      break
    }
    await vm.kill()
    const statuses = await Array.fromAsync(vm.statusChanges)
    expect(statuses.map(({ _tag }) => _tag)).toEqual(["Ended"])
  })

  test("gives what is asked for and holds no more than the history: a slow reader is told what it lost", async () => {
    const total = 64 * 4096
    const guest: Simulated.Script = ({ print, readLine }) =>
      readLine.pipe(
        Effect.zipRight(Effect.forEach(Array.from({ length: 64 }), () => print("x".repeat(4096)))),
        Effect.as({ _tag: "PowerOff" } as const)
      )
    await using vm = await capsa.launch({ console: { historyBytes: 8192 } }, simulated({ guest }))
    const chunks = vm.console.chunks[Symbol.asyncIterator]()
    const first = chunks.next()
    await vm.console.writeLine("go")
    const seen = [await first]
    // Nobody asks for more until all is over.
    await vm.wait()
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) seen.push(next)
    const bytes = seen.reduce((sum, { value }) => sum + value.bytes.length, 0)
    const lost = seen.reduce((sum, { value }) => sum + value.lost, 0)
    expect(bytes + lost).toBe(total)
    expect(lost).toBeGreaterThan(total / 2)
  })
})

describe("a script", () => {
  const run = async (ending: string) => {
    const argv = [process.execPath, join(import.meta.dir, "fixtures/script.ts"), ending]
    const child = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe" })
    const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
    return { stdout, stderr, status }
  }

  for (const [ending, said] of [
    ["block", "Killed"],
    ["close", "Killed"],
    ["stop", "PowerOff"],
    // Nothing keeps the process: the machine goes with it.
    ["forgotten", "Killed"]
  ] as const) {
    test(`ends by itself, and its machine before it: ${ending}`, async () => {
      expect(await run(ending)).toEqual({ stdout: `${said}\n`, stderr: "", status: 0 })
    })
  }
})

describe("vsock by promises", () => {
  /** A machine whose guest echoes at port 7; the sockets are the guest's. */
  const withEcho = async () => {
    const scope = Effect.runSync(Scope.make())
    const guest = VsockPeer.guest({ 7: (socket) => void socket.pipe(socket) })
    const { path, sockets } = await Effect.runPromise(Scope.extend(guest, scope))
    const vm = await capsa.launch({ vsock: true }, { backend: VsockPeer.backend(path) })
    return {
      vm,
      path,
      sockets,
      [Symbol.asyncDispose]: async () => {
        await vm.close()
        await Effect.runPromise(Scope.close(scope, Exit.void))
      }
    }
  }

  const textOf = async (pieces: AsyncIterable<Uint8Array>) => {
    const all: Array<Uint8Array> = []
    for await (const piece of pieces) all.push(piece)
    return Buffer.concat(all).toString()
  }

  /** Until the guest has none open. */
  const unused = async (sockets: ReadonlySet<unknown>) => {
    while (sockets.size > 0) await Bun.sleep(1)
  }

  test("a connection is written, ended and iterated, and closed by its block", async () => {
    await using guest = await withEcho()
    expect(guest.vm.vsock.path).toBe(guest.path)
    {
      await using connection = await guest.vm.vsock.connect(7, { timeout: "10 seconds" })
      expect(connection.port).toBe(7)
      await connection.write("by ")
      await connection.write(new TextEncoder().encode("promises"))
      await connection.end()
      expect(await textOf(connection.readable)).toBe("by promises")
      expect(await rejection(connection.write("late"))).toMatchObject({ _tag: "VsockError", reason: "Closed" })
    }
    await using open = await guest.vm.vsock.connect(7)
    await open.close()
    await unused(guest.sockets)
    expect(await rejection(guest.vm.vsock.connect(8))).toMatchObject({ _tag: "VsockError", reason: "Refused", port: 8 })
  })

  test("connections of the guest are iterated, and closed with the iteration", async () => {
    await using guest = await withEcho()
    const socket = Effect.runPromise(
      Effect.retry(VsockPeer.callHost(guest.path, 52), { schedule: Schedule.spaced("1 millis") })
    )
    for await (const connection of guest.vm.vsock.listen(52)) {
      expect(connection.port).toBe(52)
      await connection.write("welcome")
      ;(await socket).end("thanks")
      expect(await textOf(connection.readable)).toBe("thanks")
      break
    }
    const guests = await socket
    let got = ""
    for await (const piece of guests) got += piece
    expect(got).toBe("welcome")
    expect(await rejection(Effect.runPromise(VsockPeer.callHost(guest.path, 52)))).toBeInstanceOf(Error)
  })

  test("a pool's connections go back at the end of a block", async () => {
    await using guest = await withEcho()
    const pool = await guest.vm.vsock.pool({ port: 7, max: 1 })
    for (let i = 0; i < 3; i++) {
      await using connection = await pool.acquire()
      expect(await pool.stats()).toEqual({ idle: 0, inUse: 1, waiting: 0 })
      expect(connection.port).toBe(7)
    }
    expect(await pool.stats()).toEqual({ idle: 1, inUse: 0, waiting: 0 })
    expect(guest.sockets.size).toBe(1)
    await using held = await pool.acquireTo(7)
    const waiting = rejection(pool.acquire({ signal: AbortSignal.timeout(10) }))
    expect(await waiting).toMatchObject({ name: "TimeoutError" })
    await pool.close()
    expect(await rejection(held.write("x"))).toMatchObject({ reason: "Closed" })
    expect(await rejection(pool.acquire())).toMatchObject({ reason: "Closed" })
    await unused(guest.sockets)
  })
})
