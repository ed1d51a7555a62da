/** Limits of real machines, where cgroups of version 2 can be had: in the lab, on most systems with systemd. */
import { expect } from "bun:test"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, type VmConfig } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { GuestImages } from "@capsa/guest"
import { Qemu } from "@capsa/qemu"
import { Cgroup, Cleanup, Machines } from "@capsa/state"
import { layer, planOf } from "@capsa/testing"
import { type Cause, type ofLimits, produces } from "@capsa/testing/failures"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Vm from "../src/Vm.ts"

const accel = Bun.env["CAPSA_TEST_BACKEND"] === "kvm" ? "kvm" : "tcg"
const finding = await Effect.runPromise(Cgroup.examine)
const why = finding.status === "ok" ? undefined : finding.detail
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const testMs = 600_000

const stateFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-limits-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const launch = (config: VmConfig) => Vm.launch({ boot: { kernel: tiny.bzImage, initrd: tiny.initrd }, ...config })

const plan = planOf({ kernel: tiny.bzImage, initrd: tiny.initrd })

const cgroupOf = Effect.map(Machines.alive, ([machine]) => machine?.cgroup ?? "")

const setting = (cgroup: string, file: string): string => readFileSync(join(cgroup, file), "utf8").trim()

const killed = (child: Bun.Subprocess) =>
  Effect.promise(() => {
    child.kill("SIGKILL")
    return child.exited
  })

/** A cgroup beside those of this process's machines. */
const cgroup = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const own = /^0::(.*?)(\/capsa-host)?$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? ""
      const path = join("/sys/fs/cgroup", own, name)
      mkdirSync(path)
      return path
    }),
    (path) => Effect.ignore(Effect.zipRight(Cgroup.remove(join(path, "capsa-host")), Cgroup.remove(path)))
  )

/** The program of the fixture, in a cgroup; with what it told. */
const limited = Effect.fnUntraced(function* (cgroup: string, folder: string) {
  const fixture = [process.execPath, join(import.meta.dir, "fixtures/limited.ts"), tiny.bzImage, tiny.initrd, accel]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Bun.spawn(["/bin/sh", "-c", `echo 0 >"$1/cgroup.procs"; shift; exec "$@"`, "sh", cgroup, ...fixture], {
        env: { ...Bun.env, CAPSA_STATE_DIR: folder }
      })
    ),
    killed
  )
  const { value } = yield* Effect.promise(() => child.stdout.getReader().read())
  return { child, told: new TextDecoder().decode(value).trim() }
})

/** A limit of threads that QEMU cannot be started with. */
const tooFew = { pids: 1 }

const causes: Record<(typeof ofLimits)[number], Cause<unknown, Backend | Scope.Scope>> = {
  "VmBootError.LimitsUnavailable": {
    happens: launch({ limits: tooFew }),
    says: { field: "limits", hint: expect.stringContaining("Or leave `limits` out.") },
    skipped: why === undefined ? "this process may set limits" : undefined
  },
  "VmBootError.LimitExceeded": {
    happens: launch({ limits: tooFew }),
    says: { field: "limits.pids", subject: "1", hint: expect.stringContaining("limits.pids") },
    skipped: why
  }
}

const backend = Qemu.layer({ accel: why === undefined ? accel : "tcg" })

produces(Failure.Failure, causes, (effect) => effect.pipe(Effect.scoped, Effect.provide(backend)), {
  timeoutMs: testMs
})

layer(backend)(why === undefined ? "a machine with limits" : `a machine with limits — skipped: ${why}`, ({ live }) => {
  const test = (name: string, body: (folder: string) => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
    live.skipIf(why !== undefined)(
      name,
      () =>
        Effect.flatMap(stateFolder, (folder) =>
          Effect.withConfigProvider(body(folder), ConfigProvider.fromMap(new Map([["CAPSA_STATE_DIR", folder]])))
        ),
      testMs
    )

  test("has them in a cgroup of its own, which goes with it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const limits = { cpus: 0.5, memory: "1GiB", pids: 64, io: { writePerSecond: "10MiB" } }
      yield* Scope.extend(launch({ limits }), scope)
      const cgroup = yield* cgroupOf
      expect(setting(cgroup, "cpu.max")).toBe("50000 100000")
      expect(setting(cgroup, "memory.max")).toBe(String(2 ** 30))
      expect(setting(cgroup, "pids.max")).toBe("64")
      const [machine] = yield* Machines.alive
      // KVM has a thread of the kernel there as well.
      expect(setting(cgroup, "cgroup.procs").split("\n")).toContain(String(machine?.process?.pid))
      yield* Scope.close(scope, Exit.void)
      expect(existsSync(cgroup)).toBe(false)
    }))

  test("that needs more memory than its limit ends as OutOfMemory", () =>
    Effect.gen(function* () {
      const vm = yield* launch({ memory: "512MiB", limits: { memory: "200MiB" } })
      yield* vm.console.expect("capsa# ", { timeout: "2 minutes" })
      yield* vm.console.writeLine("dd if=/dev/zero of=/dev/null bs=400M count=1")
      expect(yield* vm.wait).toEqual({ _tag: "OutOfMemory" })
    }))

  test("whose QEMU does not fit into its memory is refused, with the field at fault, and nothing stays", (folder) =>
    Effect.gen(function* () {
      const { boot } = yield* Backend
      // Less than a configuration may say.
      const error = yield* Effect.flip(Effect.scoped(boot({ ...plan, limits: { memory: "4MiB" } })))
      expect(error).toMatchObject({ reason: "LimitExceeded", field: "limits.memory", subject: "4MiB" })
      expect(readdirSync(folder)).toEqual([])
    }))

  test("leaves its cgroup when its process is killed, which cleanup removes", (folder) =>
    Effect.gen(function* () {
      const base = yield* cgroup("test-crash")
      const { child, told } = yield* limited(base, folder)
      const path = yield* cgroupOf
      expect(path).toBe(join(base, `capsa-${told}`))
      // A cgroup with limited children may not have processes of its own: they have moved aside.
      expect(setting(base, "cgroup.procs")).toBe("")
      expect(setting(join(base, "capsa-host"), "cgroup.procs").split("\n")).toContain(String(child.pid))
      yield* killed(child)
      expect(existsSync(path)).toBe(true)
      const { leftovers, notes } = yield* Cleanup.cleanup
      expect(leftovers.map(({ cgroup }) => cgroup)).toEqual([path])
      expect(notes).toEqual([])
      expect(existsSync(path)).toBe(false)
    }))

  test("is refused where its process shares a cgroup with strangers, who stay where they are", (folder) =>
    Effect.gen(function* () {
      const base = yield* cgroup("test-shared")
      const stranger = yield* Effect.acquireRelease(
        Effect.sync(() => Bun.spawn(["/bin/sleep", "600"])),
        killed
      )
      writeFileSync(join(base, "cgroup.procs"), String(stranger.pid))
      const { told } = yield* limited(base, folder)
      expect(told).toStartWith("LimitsUnavailable: ")
      expect(told).toContain(`process ${stranger.pid}`)
      expect(setting(base, "cgroup.procs").split("\n")).toContain(String(stranger.pid))
      expect(existsSync(join(base, "capsa-host"))).toBe(false)
      expect(readdirSync(folder)).toEqual([])
    }))
})
