/** What can befall QEMU from outside: each is told by a typed error with a hint, and leaves nothing behind. */
import { describe, expect } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, type KernelPlan, type Machine } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { effect, givenBack, live, planOf, settled } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { Qemu } from "../src/index.ts"
import { setprivPath } from "../src/internal/supervised.ts"
import { bootPlayed, played } from "./fixtures/playedQemu.ts"
import { isAlive, processesWith, until } from "./fixtures/processes.ts"

const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

/** A guest of a real QEMU, with a device that the monitor is asked about. */
const planOfGuest = (): KernelPlan =>
  planOf({
    kernel: tiny.kernel,
    initrd: tiny.initrd,
    cmdline: "console=ttyS0 reboot=k panic=-1 no_timer_check",
    balloon: true
  })

const testMs = 120_000

const stateFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-state-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Runs `body` in a scope, after which there is no process, descriptor, thread or file of it. */
const leavingNothing = <E>(body: Effect.Effect<unknown, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const folder = yield* stateFolder
    const settings = ConfigProvider.fromMap(new Map([["CAPSA_STATE_DIR", folder]]))
    const before = yield* settled
    yield* Effect.withConfigProvider(Effect.scoped(body), settings)
    yield* givenBack(before)
    expect(readdirSync(folder)).toEqual([])
  })

/** What comes of a fiber, for which all time passes that it waits for. */
const outliving = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.promise(() => Bun.sleep(5)).pipe(
    Effect.zipRight(TestClock.adjust("30 seconds")),
    Effect.repeat({ until: () => fiber.unsafePoll() !== null }),
    Effect.zipRight(Fiber.join(fiber))
  )

const stopped = (pid: number): boolean => {
  try {
    return /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    // It ended between the listing and the look.
    return false
  }
}

describe("a boot fails when QEMU", () => {
  const faults: ReadonlyArray<[string, string, object]> = [
    ["is killed before it greets", "kill -KILL $$", { detail: expect.stringContaining("killed by SIGKILL") }],
    [
      "is killed while it makes the machine",
      "greet; read -r command <&3; kill -KILL $$",
      { stage: "created", detail: expect.stringContaining("killed by SIGKILL") }
    ],
    [
      "is killed before it lets the guest go",
      "greet; answer 0; read -r command <&3; kill -KILL $$",
      { stage: "loaded", detail: expect.stringContaining("killed by SIGKILL") }
    ],
    ["hangs before it greets", "kill -STOP $$", { detail: expect.stringContaining("the greeting") }],
    [
      "hangs while it makes the machine",
      "greet; read -r command <&3; kill -STOP $$",
      { stage: "created", detail: expect.stringContaining("qmp_capabilities") }
    ]
  ]
  for (const [what, script, told] of faults) {
    effect(what, () =>
      leavingNothing(
        Effect.gen(function* () {
          const qemu = yield* played(script)
          const booting = yield* Effect.fork(Effect.flip(Effect.scoped(bootPlayed(qemu))))
          yield* until(() => booting.unsafePoll() !== null || processesWith(qemu.folder).some(stopped))
          const error = yield* outliving(booting)
          expect(error).toMatchObject({ _tag: "VmBootError", reason: "HostFailure", ...told })
          expect(error.hint).toContain("capsa doctor")
          yield* qemu.isGone
        })
      )
    )
  }

  for (const [what, complaint] of [
    ["has no machine of this type", "qemu-system-x86_64: unsupported machine type"],
    ["lacks a device", "qemu-system-x86_64: -device x: 'x' is not a valid device model name"]
  ] as const) {
    live(what, () =>
      leavingNothing(
        Effect.gen(function* () {
          const qemu = yield* played(`echo "${complaint}" >&2; exit 1`)
          const error = yield* Effect.flip(Effect.scoped(bootPlayed(qemu)))
          expect(error).toMatchObject({ _tag: "BackendError", reason: "ProgramUnusable" })
          expect(error.message).toContain(complaint)
          expect(error.hint).toContain("apt install qemu-system-x86")
        })
      )
    )
  }
})

describe("a machine whose QEMU", () => {
  /** Every operation but `kill`, which always works. */
  const operations = ({ pause, powerOff, resume, stats, write }: Machine) => [
    pause,
    resume,
    powerOff,
    stats,
    write(new Uint8Array(1))
  ]

  /** A guest that has come up, and the process that it is. */
  const running = Effect.gen(function* () {
    const plan = planOfGuest()
    const { boot } = yield* Backend
    const machine = yield* boot(plan)
    const text = Stream.scan(Stream.decodeText(machine.console), "", (all, more) => all + more)
    yield* Stream.runDrain(Stream.takeUntil(text, (all) => all.includes("capsa# ")))
    const [pid = 0] = processesWith(plan.id)
    return { machine, pid, plan }
  })

  const withRunning = (body: (guest: Effect.Effect.Success<typeof running>) => Effect.Effect<unknown, unknown>) =>
    leavingNothing(Effect.provide(Effect.flatMap(running, body), Qemu.layer()))

  live(
    "is killed from outside has failed, says by what, and does nothing more",
    () =>
      withRunning(({ machine, pid, plan }) =>
        Effect.gen(function* () {
          process.kill(pid, "SIGKILL")
          expect(yield* machine.exit).toMatchObject({
            _tag: "Failed",
            detail: expect.stringContaining("killed by SIGKILL, not by capsa")
          })
          for (const operation of operations(machine)) {
            const error = yield* Effect.flip(operation)
            expect(error).toMatchObject({ _tag: "MachineError", reason: "NotRunning" })
            expect(error.hint).toContain("exit")
          }
          yield* machine.kill
          expect(processesWith(plan.id)).toEqual([])
        })
      ),
    testMs
  )

  live(
    "hangs says so when it is asked, and is killed all the same",
    () =>
      withRunning(({ machine, pid, plan }) =>
        Effect.gen(function* () {
          process.kill(pid, "SIGSTOP")
          for (const operation of [machine.pause, machine.resume, machine.powerOff, machine.stats]) {
            const asked = Effect.fork(Effect.flip(Effect.asVoid(operation)))
            const error = yield* Effect.provide(Effect.flatMap(asked, outliving), TestContext.TestContext)
            expect(error).toMatchObject({ _tag: "MachineError", reason: "HostFailure", operation: "QMP" })
            expect(error.message).toContain("did not answer")
            expect(error.hint).toContain("kill the machine")
          }
          yield* machine.kill
          expect(yield* machine.exit).toEqual({ _tag: "Killed" })
          expect(processesWith(plan.id)).toEqual([])
        })
      ),
    testMs
  )

  const missing = setprivPath() === null ? " — skipped: this host has no setpriv" : ""
  live.skipIf(missing !== "")(
    `loses the process that launched it is gone within a second${missing}`,
    () =>
      Effect.gen(function* () {
        const plan = planOfGuest()
        const fixture = join(import.meta.dir, "fixtures/launchMachine.ts")
        const env = { ...Bun.env, CAPSA_STATE_DIR: yield* stateFolder }
        const launcher = yield* Effect.acquireRelease(
          Effect.sync(() => Bun.spawn([process.execPath, fixture, JSON.stringify(plan)], { env })),
          (launcher) => Effect.sync(() => launcher.kill("SIGKILL"))
        )
        const { value } = yield* Effect.promise(() => launcher.stdout.getReader().read())
        expect(new TextDecoder().decode(value)).toBe("launched\n")
        const [pid = 0] = processesWith(plan.id)
        expect(isAlive(pid)).toBe(true)
        const killedAt = performance.now()
        launcher.kill("SIGKILL")
        yield* until(() => !isAlive(pid), 30_000)
        const ms = performance.now() - killedAt
        yield* Effect.log(`QEMU was gone ${ms.toFixed(1)} ms after its launcher`)
        expect(ms).toBeLessThan(1000)
      }),
    testMs
  )
})
