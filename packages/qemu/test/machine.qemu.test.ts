/** Machines of a real QEMU, by emulation, with what only this backend has to show; `capsa` tests what all have. */
import { expect } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, type KernelPlan, type Machine } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import * as testing from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Chunk from "effect/Chunk"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Qemu } from "../src/index.ts"
import { openDescriptors, processesWith, until } from "./fixtures/processes.ts"

const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const planOf = (more: Partial<KernelPlan> = {}): KernelPlan =>
  testing.planOf({
    kernel: tiny.kernel,
    initrd: tiny.initrd,
    cmdline: `earlycon=uart8250,io,0x3f8 console=${more.console === "virtio" ? "hvc0" : "ttyS0"} reboot=k panic=-1 no_timer_check`,
    ...more
  })

const boot = (plan: KernelPlan) => Effect.flatMap(Backend, ({ boot }) => boot(plan))

/** Reads the console to its end; `until` waits for a text in it. */
const listen = Effect.fnUntraced(function* (machine: Machine) {
  let heard = ""
  const reading = yield* Effect.forkScoped(
    Stream.runForEach(Stream.decodeText(machine.console), (text) =>
      Effect.sync(() => {
        heard += text
      })
    )
  )
  return {
    until: (text: string, timeoutMs = 60_000) => until(() => heard.includes(text), timeoutMs),
    all: Effect.map(Fiber.join(reading), () => heard)
  }
})

const prompted = Effect.fnUntraced(function* (plan: KernelPlan) {
  const machine = yield* boot(plan)
  const console = yield* listen(machine)
  yield* console.until("capsa# ")
  return { machine, console }
})

const type = (machine: Machine, line: string) => machine.write(new TextEncoder().encode(`${line}\n`))

/** A folder of the host with a file in it. */
const share = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-share-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (host) => {
    writeFileSync(join(host, "name"), "of the host\n")
    return { host, guest: "/mnt", mode: "rw", tag: "data", cache: "auto" } as const
  }
)

const pidOf = (plan: KernelPlan): number => processesWith(plan.id)[0] ?? 0

const testMs = 120_000

testing.layer(Qemu.layer())("a machine of QEMU", ({ live }) => {
  const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
    live(name, body, testMs)

  for (const discovery of ["firmware", "cmdline"] as const) {
    test(`boots with a virtio console and early output, devices by ${discovery}`, () =>
      Effect.gen(function* () {
        const { console, machine } = yield* prompted(planOf({ console: "virtio", discovery }))
        const stats = yield* machine.stats
        expect(stats.residentBytes).toBeGreaterThan(16 * 1024 * 1024)
        yield* type(machine, "reboot -f")
        expect(yield* machine.exit).toEqual({ _tag: "Reboot" })
        const all = yield* console.all
        expect(all.indexOf("Linux version")).toBeGreaterThanOrEqual(0)
        expect(all.indexOf("Linux version")).toBeLessThan(all.indexOf("capsa: init"))
        expect(stats.consoleBytes).toBeGreaterThan(all.indexOf("capsa# "))
        expect(yield* machine.consoleLost).toBe(0)
        const stages = Chunk.toReadonlyArray(yield* Stream.runCollect(machine.stages))
        expect(stages.map(({ name }) => name)).toEqual(["created", "loaded", "started"])
      }))
  }

  test("knows how fast its clock runs, also on a busy host", () =>
    Effect.gen(function* () {
      const { kernelParameters = "" } = (yield* Backend).capabilities
      const kilohertz = Number(/^tsc_early_khz=(\d+)$/.exec(kernelParameters)?.[1])
      const plan = planOf()
      const { console, machine } = yield* prompted({ ...plan, cmdline: `${plan.cmdline} ${kernelParameters}` })
      yield* machine.kill
      expect(yield* console.all).toContain(`tsc: Detected ${(kilohertz / 1000).toFixed(3)} MHz `)
    }))

  test("obeys the power button", () =>
    Effect.gen(function* () {
      const { machine } = yield* prompted(planOf())
      yield* machine.powerOff
      expect(yield* machine.exit).toEqual({ _tag: "PowerOff" })
      expect(yield* Effect.flip(machine.powerOff)).toMatchObject({ reason: "NotRunning" })
      expect(yield* Effect.flip(machine.stats)).toMatchObject({ reason: "NotRunning" })
      expect(yield* Effect.flip(machine.write(new Uint8Array(1)))).toMatchObject({ reason: "NotRunning" })
    }))

  test("has no power button without firmware tables", () =>
    Effect.gen(function* () {
      const machine = yield* boot(planOf({ discovery: "cmdline" }))
      expect(yield* Effect.flip(machine.powerOff)).toMatchObject({ reason: "Unsupported", field: "discovery" })
    }))

  test("tells a panic by its device, also where the kernel stands still", () =>
    Effect.gen(function* () {
      const plan = planOf()
      const { machine } = yield* prompted({ ...plan, cmdline: plan.cmdline.replace("panic=-1", "panic=0") })
      yield* type(machine, "echo c > /proc/sysrq-trigger")
      expect(yield* machine.exit).toEqual({ _tag: "Panic" })
    }))

  test("stands still while paused", () =>
    Effect.gen(function* () {
      const { console, machine } = yield* prompted(planOf())
      yield* machine.pause
      yield* type(machine, "echo answer=$((6 * 7))")
      expect(yield* Effect.exit(console.until("answer=42", 300))).toMatchObject({ _tag: "Failure" })
      yield* machine.resume
      yield* console.until("answer=42")
    }))

  test("whose QEMU hangs is killed all the same", () =>
    Effect.gen(function* () {
      const plan = planOf()
      const machine = yield* boot(plan)
      process.kill(pidOf(plan), "SIGSTOP")
      yield* machine.kill
      expect(yield* Effect.timeout(machine.exit, "2 seconds")).toEqual({ _tag: "Killed" })
      expect(processesWith(plan.id)).toEqual([])
    }))

  test("whose QEMU hangs goes with its scope", () =>
    Effect.gen(function* () {
      const plan = planOf()
      const scope = yield* Scope.make()
      const machine = yield* Scope.extend(boot(plan), scope)
      process.kill(pidOf(plan), "SIGSTOP")
      yield* Scope.close(scope, Exit.void)
      expect(processesWith(plan.id)).toEqual([])
      expect(yield* machine.exit).toEqual({ _tag: "Killed" })
    }))

  test("leaves nothing, however often: no process, no descriptor", () =>
    Effect.gen(function* () {
      const id = crypto.randomUUID()
      const round = Effect.scoped(Effect.flatMap(boot(planOf({ id, console: "virtio" })), ({ kill }) => kill))
      yield* round
      const before = openDescriptors()
      yield* Effect.repeatN(round, 9)
      yield* until(() => openDescriptors() <= before)
      expect(processesWith(id)).toEqual([])
    }))

  for (const discovery of ["firmware", "cmdline"] as const) {
    test(`has its share, devices by ${discovery}, also after a pause`, () =>
      Effect.gen(function* () {
        const { console, machine } = yield* prompted(planOf({ discovery, shares: [yield* share] }))
        yield* type(machine, "mkdir -p /mnt && mount -t virtiofs data /mnt && cat /mnt/name")
        yield* console.until("of the host")
        const { shareRequests = 0 } = yield* machine.stats
        expect(shareRequests).toBeGreaterThan(3)
        yield* machine.pause
        yield* machine.resume
        yield* type(machine, "rm /mnt/name && echo g''one")
        yield* console.until("gone")
        expect((yield* machine.stats).shareRequests).toBeGreaterThan(shareRequests)
      }))
  }

  test("leaves nothing of its shares, however it ends", () =>
    Effect.gen(function* () {
      const folder = yield* share
      const round = (end: (machine: Machine, plan: KernelPlan) => Effect.Effect<unknown, unknown>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const plan = planOf({ shares: [folder, { ...folder, tag: "other" }] })
            const { console, machine } = yield* prompted(plan)
            yield* type(machine, "mkdir -p /mnt && mount -t virtiofs data /mnt && cat /mnt/name")
            yield* console.until("of the host")
            yield* end(machine, plan)
          })
        )
      const signal = (name: "SIGKILL" | "SIGSTOP") => (_: Machine, plan: KernelPlan) =>
        Effect.sync(() => process.kill(pidOf(plan), name))
      yield* round(({ kill }) => kill)
      const before = yield* testing.settled
      yield* round((machine, plan) => Effect.zipRight(signal("SIGKILL")(machine, plan), machine.exit))
      yield* round(signal("SIGKILL"))
      yield* round(signal("SIGSTOP"))
      yield* round((machine) => Effect.zipRight(type(machine, "poweroff -f"), machine.exit))
      yield* testing.givenBack(before)
    }))

  test("that has devices of the native library ends with its backend", () =>
    Effect.gen(function* () {
      const backend = yield* Scope.make()
      const plan = planOf({ shares: [yield* share] })
      const booted = yield* Effect.provide(boot(plan), yield* Scope.extend(Layer.build(Qemu.layer()), backend))
      yield* Scope.close(backend, Exit.void)
      expect(yield* booted.exit).toEqual({ _tag: "Killed" })
    }))

  test("has no shares, networks and vsock where the native library is missing, and says so", () =>
    Effect.gen(function* () {
      const { capabilities } = yield* Effect.provide(Backend, Qemu.layer())
      const { disks, portForwards, shares, switchNetwork, tapNetwork, userNetwork, vsock } = capabilities.features
      expect(disks.supported).toBe(true)
      for (const feature of [shares, userNetwork, portForwards, tapNetwork, switchNetwork, vsock])
        expect(feature).toEqual({
          supported: false,
          reason: expect.stringMatching(/native library.*\/nowhere\/libcapsa\.so/)
        })
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["CAPSA_LIBRARY", "/nowhere/libcapsa.so"]])))))

  test("interrupted on its way up leaves nothing", () =>
    Effect.gen(function* () {
      const plan = planOf()
      const booting = yield* Effect.fork(Effect.scoped(boot(plan)))
      yield* until(() => processesWith(plan.id).length > 0)
      yield* Fiber.interrupt(booting)
      expect(processesWith(plan.id)).toEqual([])
    }))

  for (const [what, more, error] of [
    [
      "an initrd that is not there",
      { initrd: "/nonexistent" },
      { reason: "InitrdUnreadable", subject: "/nonexistent" }
    ],
    ["a kernel that is none", { kernel: import.meta.path }, { reason: "KernelInvalid", subject: import.meta.path }],
    [
      "an ELF file that is no kernel",
      { kernel: process.execPath },
      { reason: "KernelInvalid", subject: process.execPath }
    ],
    ["more memory than the host has", { memoryMib: 500_000_000 }, { field: "memoryMib" }],
    ["an initrd larger than memory", { initrd: process.execPath, memoryMib: 16 }, { reason: "InitrdInvalid" }],
    ["more processors than QEMU can have", { cpus: 100_000 }, { reason: "Unsupported", field: "cpus" }]
  ] as const) {
    test(`is refused with ${what}`, () =>
      Effect.gen(function* () {
        const plan = planOf(more)
        const refused = yield* Effect.flip(Effect.scoped(boot(plan)))
        expect(refused).toMatchObject({ _tag: "VmBootError", ...error })
        expect(processesWith(plan.id)).toEqual([])
      }))
  }

  test("is what the probe has tried", () =>
    Effect.gen(function* () {
      const startedAt = performance.now()
      const report = yield* Qemu.probe
      expect(performance.now() - startedAt).toBeLessThan(1000)
      expect(report.error).toBeUndefined()
      expect(report.findings.map(({ status }) => status)).not.toContain("failed")
      expect(yield* Backend).toMatchObject({
        name: "qemu",
        description: expect.stringMatching(/^QEMU \d+\.\d+\.\d+ \(TCG\)$/)
      })
    }))
})
