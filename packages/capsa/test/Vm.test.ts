import { describe, expect } from "bun:test"
import { type BootStage, VmBootError, type VmExit, type VmStatus } from "@capsa/core"
import { effect, live, Simulated } from "@capsa/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Vm from "../src/Vm.ts"

const powerOff: VmExit = { _tag: "PowerOff" }
const killed: VmExit = { _tag: "Killed" }
const silent = Effect.provide(Logger.remove(Logger.defaultLogger))

/** Runs a test body against simulated machines that run this guest. */
const on =
  (guest: Simulated.Script, options: Simulated.SimulatedOptions = {}) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    body.pipe(Effect.provide(Simulated.layer({ guest, ...options })), silent)

const never: Simulated.Script = () => Effect.never
const printing =
  (...texts: ReadonlyArray<string>) =>
  (exit: VmExit): Simulated.Script =>
  ({ print }) =>
    Effect.as(Effect.forEach(texts, print), exit)

const alive = Effect.flatMap(Simulated.Machines, (machines) => machines.alive)
const begun = Effect.flatMap(Simulated.Machines, (machines) => machines.begun)

describe("Vm.launch", () => {
  effect("gives a machine that says who it is", () =>
    Effect.gen(function* () {
      const config = { name: "one", cpus: 2, memory: "1GiB" } as const
      const vm = yield* Vm.launch(config)
      expect(vm.id).toMatch(/^[0-9a-f-]{36}$/)
      expect(vm.name).toBe("one")
      expect(vm.config).toEqual(config)
      expect(vm.backend.name).toBe("simulated")
      expect((yield* Vm.launch({})).name).toMatch(/^vm-[0-9a-f]{8}$/)
    }).pipe(on(never))
  )

  effect("gives the backend a whole plan", () => {
    let cmdline = ""
    const guest: Simulated.Script = ({ plan }) => {
      cmdline = plan.cmdline
      return Effect.never
    }
    return Effect.gen(function* () {
      yield* Vm.launch({})
      yield* Effect.yieldNow()
      expect(cmdline).toContain("console=hvc0")
    }).pipe(on(guest))
  })

  effect("looks at the whole configuration before it starts anything", () =>
    Effect.gen(function* () {
      const invalid = yield* Effect.flip(Vm.launch({ cpus: 0, memory: 1, boot: { kernel: "/does/not/exist" } }))
      expect(invalid).toMatchObject({ _tag: "VmConfigError", reason: "Invalid" })
      expect(invalid.message).toContain("There is no file /does/not/exist.")
      const surplus = { cpus: 1, disk: "a" }
      expect(yield* Effect.flip(Vm.launch(surplus))).toMatchObject({
        reason: "Malformed",
        problems: [{ path: "disk" }]
      })
      const pinned = { cpus: 3 }
      expect(yield* Effect.flip(Vm.launch(pinned))).toMatchObject({
        reason: "Unsupported",
        problems: [{ path: "cpus" }]
      })
      expect(yield* begun).toBe(0)
    }).pipe(on(never, { capabilities: { maxCpus: 2 } }))
  )

  effect("refuses what the backend does not offer, before it starts anything", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(Vm.launch({ vsock: true, limits: { pids: 100 }, main: { argv: ["true"] } }))
      expect(refused).toMatchObject({
        reason: "Unsupported",
        problems: [
          { path: "vsock", refusal: { backend: "simulated", others: ["kvm", "qemu"] } },
          { path: "limits", refusal: { backend: "simulated", others: ["qemu"] } },
          { path: "main", refusal: { backend: "simulated", others: ["kvm", "qemu"] } }
        ]
      })
      const many = yield* Effect.flip(Vm.launch({ cpus: 3 }))
      expect(many).toMatchObject({ problems: [{ refusal: { backend: "simulated", others: ["kvm", "qemu"] } }] })
      expect(yield* begun).toBe(0)
    }).pipe(on(never, { capabilities: { maxCpus: 2 } }))
  )

  for (const failing of ["created", "loaded", "started"] as const) {
    const refusal = new VmBootError({ reason: "HostFailure", stage: failing, detail: "No.", hint: "Try another host." })
    effect(`fails as the backend fails before ${failing}, and leaves nothing`, () =>
      Effect.gen(function* () {
        expect(yield* Effect.flip(Vm.launch({}))).toMatchObject({ reason: "HostFailure", stage: failing })
        expect(yield* alive).toBe(0)
      }).pipe(on(never, { beforeStage: (stage) => (stage === failing ? Effect.fail(refusal) : Effect.void) }))
    )

    effect(`interrupted before ${failing}, leaves nothing`, () => {
      const reached = Deferred.unsafeMake<void>(Fiber.id(Fiber.void))
      const beforeStage = (stage: Simulated.SimulatedStage) =>
        stage === failing ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
      return Effect.gen(function* () {
        const launching = yield* Effect.fork(Vm.launch({}))
        yield* Deferred.await(reached)
        expect(yield* alive).toBe(1)
        yield* Fiber.interrupt(launching)
        expect(yield* alive).toBe(0)
      }).pipe(on(never, { beforeStage }))
    })
  }

  effect("interrupted after any number of steps, leaves nothing", () =>
    Effect.gen(function* () {
      let complete = 0
      for (let steps = 0; steps < 200; steps++) {
        const launching = yield* Effect.fork(Effect.scoped(Effect.zipRight(Vm.launch({}), Effect.never)))
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow()
        if ((yield* begun) > complete) complete = yield* begun
        yield* Fiber.interrupt(launching)
        expect(yield* alive).toBe(0)
      }
      // Some of the interruptions came after the boot had begun, or this shows nothing.
      expect(complete).toBeGreaterThan(10)
    }).pipe(on(never, { beforeStage: () => Effect.yieldNow() }))
  )

  describe("tries again", () => {
    const short = new VmBootError({ reason: "HostResources", detail: "No room.", hint: "Wait." })

    /** Fails the first `times` boots. */
    const failing = (times: number, error = short): Simulated.SimulatedOptions => {
      let failures = 0
      return { beforeStage: (stage) => (stage === "loaded" && failures++ < times ? Effect.fail(error) : Effect.void) }
    }

    effect("what may pass, later and later, and leaves nothing of the attempts", () =>
      Effect.gen(function* () {
        const launching = yield* Effect.fork(Vm.launch({}))
        yield* TestClock.adjust(159)
        expect([yield* begun, yield* alive]).toEqual([1, 0])
        yield* TestClock.adjust(81)
        expect([yield* begun, yield* alive]).toEqual([2, 0])
        yield* TestClock.adjust(480)
        expect([yield* begun, yield* alive]).toEqual([3, 1])
        expect(yield* (yield* Fiber.join(launching)).status).toEqual({ _tag: "Running" })
      }).pipe(on(never, failing(2)))
    )

    effect("and says so in the log", () => {
      const said: Array<string> = []
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        if (logLevel._tag === "Warning") said.push([message, ...HashMap.keys(annotations)].flat().map(String).join(" "))
      })
      return Effect.gen(function* () {
        const launching = yield* Effect.fork(Vm.launch({}))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(launching)
        expect(said).toHaveLength(1)
        expect(said[0]).toMatch(/^launch failed: trying again in \d+ms.* VmBootError: No room\..* vm\.id/)
      }).pipe(
        Effect.provide(Simulated.layer({ guest: never, ...failing(1) })),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    })

    effect("at most eight times, and then fails as it failed last", () =>
      Effect.gen(function* () {
        const launching = yield* Effect.fork(Effect.flip(Vm.launch({})))
        yield* TestClock.adjust("90 seconds")
        expect(yield* Fiber.join(launching)).toMatchObject({ reason: "HostResources", detail: "No room." })
        const attempts = yield* begun
        expect(attempts).toBe(9)
        expect(yield* alive).toBe(0)
      }).pipe(on(never, failing(Number.POSITIVE_INFINITY)))
    )

    effect("not once half a minute has passed since the first failure", () => {
      const slowly = { beforeStage: () => Effect.zipRight(Effect.sleep("14 seconds"), Effect.fail(short)) }
      return Effect.gen(function* () {
        const launching = yield* Effect.fork(Effect.flip(Vm.launch({})))
        yield* TestClock.adjust("2 minutes")
        expect(yield* Fiber.join(launching)).toMatchObject({ reason: "HostResources", detail: "No room." })
        expect(yield* begun).toBe(4)
      }).pipe(on(never, slowly))
    })

    effect("nothing else", () =>
      Effect.gen(function* () {
        expect(yield* Effect.flip(Vm.launch({}))).toMatchObject({ reason: "HostFailure" })
        expect(yield* begun).toBe(1)
      }).pipe(on(never, failing(1, new VmBootError({ reason: "HostFailure", detail: "No.", hint: "Look." }))))
    )

    effect("unless it is interrupted meanwhile", () =>
      Effect.gen(function* () {
        const launching = yield* Effect.fork(Vm.launch({}))
        yield* TestClock.adjust(100)
        expect(yield* begun).toBe(1)
        yield* Fiber.interrupt(launching)
        yield* TestClock.adjust("1 minute")
        expect([yield* begun, yield* alive]).toEqual([1, 0])
      }).pipe(on(never, failing(Number.POSITIVE_INFINITY)))
    )
  })

  effect("ends with its scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const vm = yield* Scope.extend(Vm.launch({}), scope)
      expect(yield* alive).toBe(1)
      yield* Scope.close(scope, Exit.void)
      expect(yield* vm.wait).toEqual(killed)
      expect(yield* vm.status).toEqual({ _tag: "Ended", exit: killed })
      expect(yield* alive).toBe(0)
    }).pipe(on(never))
  )
})

describe("the end of a machine", () => {
  effect("is the same for every waiter, however late", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const waiters = yield* Effect.forkAll(Array.from({ length: 100 }, () => vm.wait))
      yield* TestClock.adjust("1 minute")
      const exits = yield* Fiber.join(waiters)
      expect(new Set(exits)).toEqual(new Set([powerOff]))
      expect(yield* vm.wait).toBe(exits[0] ?? killed)
      expect(yield* vm.kill).toBe(exits[0] ?? killed)
      expect(yield* vm.stop()).toBe(exits[0] ?? killed)
    }).pipe(on(() => Effect.as(Effect.sleep("1 minute"), powerOff)))
  )

  effect("can be waited for with a limit", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const waiting = yield* Effect.fork(Effect.timeoutOption(vm.wait, "5 seconds"))
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(waiting))._tag).toBe("None")
      expect(yield* vm.status).toEqual({ _tag: "Running" })
    }).pipe(on(never))
  )

  effect("kill ends what obeys nobody", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      expect(yield* vm.kill).toEqual(killed)
      expect(yield* vm.wait).toEqual(killed)
    }).pipe(on(never))
  )
})

describe("Vm.stop", () => {
  const obeys =
    (after: number): Simulated.Script =>
    ({ powerButton }) =>
      powerButton.pipe(Effect.zipRight(Effect.sleep(after)), Effect.as(powerOff))

  effect("waits for the guest within the grace period", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const stopping = yield* Effect.fork(vm.stop())
      yield* TestClock.adjust(9_999)
      expect(yield* Fiber.join(stopping)).toEqual(powerOff)
    }).pipe(on(obeys(9_999)))
  )

  effect("kills after 10 seconds, no earlier", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const stopping = yield* Effect.fork(vm.stop())
      yield* TestClock.adjust(9_999)
      expect(yield* vm.status).toEqual({ _tag: "Stopping" })
      yield* TestClock.adjust(1)
      expect(yield* Fiber.join(stopping)).toEqual(killed)
    }).pipe(on(obeys(60_000)))
  )

  effect("takes another grace period, and none at all", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const stopping = yield* Effect.fork(vm.stop({ grace: "1 minute" }))
      yield* TestClock.adjust("30 seconds")
      expect(yield* Fiber.join(stopping)).toEqual(powerOff)
      const other = yield* Vm.launch({})
      const hasty = yield* Effect.fork(other.stop({ grace: 0 }))
      yield* TestClock.adjust(0)
      expect(yield* Fiber.join(hasty)).toEqual(killed)
    }).pipe(on(obeys(30_000)))
  )

  effect("from many callers presses once and tells all the same", () => {
    const guest: Simulated.Script = ({ powerButton }) => Effect.as(powerButton, powerOff)
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const exits = yield* Effect.all(
        Array.from({ length: 10 }, () => vm.stop()),
        { concurrency: "unbounded" }
      )
      expect(new Set(exits)).toEqual(new Set([powerOff]))
    }).pipe(on(guest))
  })

  effect("lets a paused machine go on, so that it can obey", () => {
    const guest: Simulated.Script = ({ powerButton }) => Effect.as(powerButton, powerOff)
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* vm.pause
      expect(yield* vm.stop()).toEqual(powerOff)
    }).pipe(on(guest))
  })
})

describe("the status of a machine", () => {
  effect("is told as it changes, up to the end", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const seen: Array<VmStatus["_tag"]> = []
      const subscribed = yield* Deferred.make<void>()
      const watching = yield* Effect.fork(
        Stream.runForEach(vm.statusChanges, ({ _tag }) => {
          seen.push(_tag)
          return Deferred.succeed(subscribed, undefined)
        })
      )
      yield* Deferred.await(subscribed)
      yield* vm.pause
      yield* vm.pause
      expect(yield* vm.status).toEqual({ _tag: "Paused" })
      yield* vm.resume
      yield* vm.resume
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      yield* vm.kill
      yield* Fiber.join(watching)
      expect(seen).toEqual(["Running", "Paused", "Running", "Stopping", "Ended"])
      const late = yield* Stream.runCollect(vm.statusChanges)
      expect([...late]).toEqual([{ _tag: "Ended", exit: killed }])
    }).pipe(on(never))
  )

  effect("what has ended can neither be paused nor resumed", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* vm.wait
      for (const act of [vm.pause, vm.resume, vm.console.write("x")]) {
        expect(yield* Effect.flip(act)).toMatchObject({ _tag: "MachineError", reason: "NotRunning" })
      }
    }).pipe(on(printing()(powerOff)))
  )
})

describe("boot stages", () => {
  const guest: Simulated.Script = ({ print }) =>
    Effect.gen(function* () {
      yield* Effect.sleep(5)
      yield* print("[    0.000000] Linux version\r\n[    0.5] Run /init as init process\r\n")
      yield* Effect.sleep(10)
      yield* print("capsa: init\n")
      return powerOff
    })
  const expected: ReadonlyArray<BootStage> = [
    { name: "created", atMs: 1 },
    { name: "loaded", atMs: 2 },
    { name: "started", atMs: 3 },
    { name: "kernel", atMs: 8 },
    { name: "init", atMs: 8 }
  ]

  effect("come with their times, each once, to early and late readers", () =>
    Effect.gen(function* () {
      const launching = yield* Effect.fork(Vm.launch({}))
      yield* TestClock.adjust(3)
      const vm = yield* Fiber.join(launching)
      const watching = yield* Effect.fork(Stream.runCollect(vm.stageChanges))
      yield* TestClock.adjust(15)
      yield* vm.wait
      expect(yield* vm.stages).toEqual(expected)
      expect([...(yield* Fiber.join(watching))]).toEqual([...expected])
      expect([...(yield* Stream.runCollect(vm.stageChanges))]).toEqual([...expected])
    }).pipe(on(guest, { beforeStage: () => Effect.sleep(1) }))
  )
})

describe("a panic", () => {
  const line = "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"
  const panic: VmExit = { _tag: "Panic", message: "VFS: Unable to mount root fs" }

  for (const [told, exit, refined] of [
    ["a restart", { _tag: "Reboot" }, panic],
    ["a triple fault", { _tag: "Failed", detail: "triple fault" }, panic],
    ["the panic device", { _tag: "Panic" }, panic],
    ["the panic device with its own message", { _tag: "Panic", message: "own" }, { _tag: "Panic", message: "own" }],
    ["nothing: the guest switches itself off", powerOff, powerOff]
  ] as const) {
    effect(`told by ${told}`, () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch({})
        expect(yield* vm.wait).toEqual(refined)
        expect(yield* vm.status).toEqual({ _tag: "Ended", exit: refined })
      }).pipe(on(printing("boot\r\n", line.slice(0, 20), line.slice(20))(exit)))
    )
  }

  effect("a restart without one stays a restart", () =>
    Effect.gen(function* () {
      expect(yield* (yield* Vm.launch({})).wait).toEqual({ _tag: "Reboot" })
    }).pipe(on(printing("they say Kernel panic - not syncing: x\n")({ _tag: "Reboot" })))
  )

  const standsStill: Simulated.Script = ({ print }) =>
    Effect.gen(function* () {
      yield* print(line)
      yield* print("[    1.6] ---[ end Kernel panic - not syncing: VFS ]---\r\n")
      yield* Effect.sleep(1500)
      yield* print("[    3.1] a late word\r\n")
      return yield* Effect.never
    })

  effect("a kernel that stands still after it is killed once it is silent for 2 seconds", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* TestClock.adjust(3499)
      expect(yield* vm.status).toEqual({ _tag: "Running" })
      yield* TestClock.adjust(501)
      expect(yield* vm.wait).toEqual(panic)
    }).pipe(on(standsStill))
  )

  effect("a kill before that is a kill", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* TestClock.adjust(1000)
      expect(yield* vm.kill).toEqual(killed)
    }).pipe(on(standsStill))
  )
})

describe("the default guest of the simulated backend", () => {
  live("answers like a small Linux", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ cpus: 4 })
      yield* vm.console.expect("capsa# ")
      yield* vm.console.writeLine("nproc")
      expect((yield* vm.console.expect(/^(\d+)\r\n/m)).match[1]).toBe("4")
      yield* vm.console.writeLine("echo c > /proc/sysrq-trigger")
      expect(yield* vm.wait).toEqual({ _tag: "Panic", message: "sysrq triggered crash" })
    }).pipe(Effect.provide(Simulated.layer()), silent)
  )
})
