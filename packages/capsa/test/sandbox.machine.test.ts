/** Sandboxes in real guests, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the default). */
import { describe, expect } from "bun:test"
import { readFileSync } from "node:fs"
import type { Backend, GuestImages, VmConfig } from "@capsa/core"
import { layer, live } from "@capsa/testing"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { GuestImage } from "../src/GuestImage.ts"
import * as Sandbox from "../src/Sandbox.ts"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick } from "./fixtures/realBackend.ts"
import { hashOf, MiB, patternStream, suite } from "./fixtures/sandboxSuite.ts"
import { TestAgent, testerOf } from "./fixtures/sandboxTest.ts"

/** What of the whole is done: in the lab everything is many times slower. */
const { CAPSA_LAB, CAPSA_TEST_SANDBOX, CAPSA_TEST_SANDBOX_PERCENT = CAPSA_LAB === "1" ? "10" : "100" } = Bun.env
const isFull = CAPSA_TEST_SANDBOX === "full"
const largeFileMib = isFull ? 1024 : 32
const part = (whole: number) => Math.ceil((whole * Number(CAPSA_TEST_SANDBOX_PERCENT)) / 100)
/** Emulators are slow, and emulators in emulators are slower still. */
const testMs = isFull ? 1_800_000 : 600_000
const readyTimeout = "5 minutes"

const { mainProcess } = capabilities.features
const cause = mainProcess.supported ? "" : ` — skipped: ${backendName} has no way to an agent: ${mainProcess.reason}`

const large = Sandbox.launch({ boot: quick, memory: "1GiB", readyTimeout })

if (mainProcess.supported) {
  layer(Layer.provide(Layer.scoped(TestAgent, large), backend))(`an agent in a guest on ${backendName}`, ({ live }) => {
    suite(testerOf(live, testMs), {
      timeoutMs: testMs,
      execs: part(1000),
      streamedMib: part(100),
      fileMib: part(100),
      files: part(10_000),
      lastingSeconds: 70,
      findsAll: true
    })
  })
}

/** What serves vsock to QEMU. */
const withoutLibrary = ConfigProvider.fromMap(new Map([["CAPSA_LIBRARY", "/nowhere/libcapsa.so"]]))

const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
  live.skipIf(!mainProcess.supported)(name, () => Effect.provide(body(), backend), testMs)

const launch = (more: VmConfig = {}) => Sandbox.launch({ boot: quick, memory: "128MiB", readyTimeout, ...more })

/** The built-in guest, which mounts its shares, with the kernel that boots fast. */
const tinyGuest = { images: () => Effect.succeed({ ...quick, cmdline: "loglevel=1" } satisfies GuestImages) }

/** What of this process is not shared with a guest: its memory is, if it runs in here. */
const ownBytes = (): number =>
  Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024

describe(`a sandbox on ${backendName}${cause}`, () => {
  test("is a machine: its stages, its console, its name and clock", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch({ name: "my_sandbox.1" })
      expect((yield* sandbox.stages).map(({ name }) => name)).toContain("agent")
      expect(yield* sandbox.info).toMatchObject({ hostname: "my-sandbox.1" })
      yield* sandbox.console.expect("capsa# ", { timeout: "1 minute" })
      expect(yield* sandbox.console.run("hostname", { timeout: "1 minute" })).toMatchObject({
        output: "my-sandbox.1\n"
      })
      expect(yield* sandbox.exec("cat /proc/1/comm")).toMatchObject({ stdout: "init\n" })
      const mounts = (yield* sandbox.info).mounts.map(({ target }) => target)
      for (const target of ["/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", "/tmp", "/sys/fs/cgroup"]) {
        expect(mounts).toContain(target)
      }
    }))

  live.skipIf(backendName !== "qemu")(
    `is reached by a port where there is no vsock${backendName === "qemu" ? "" : " — skipped: the monitor always has vsock"}`,
    () =>
      Effect.gen(function* () {
        const sandbox = yield* launch()
        expect(sandbox.vsock.path).toBeUndefined()
        expect(yield* sandbox.exec(["cat"], { stdin: "x".repeat(1_000_000) })).toMatchObject({ exitCode: 0 })
        expect(yield* sandbox.shutdown()).toEqual({ _tag: "PowerOff" })
      }).pipe(Effect.provide(backend), Effect.withConfigProvider(withoutLibrary)),
    testMs
  )

  test("shutdown: processes are asked, then the machine switches itself off", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch()
      const polite = yield* sandbox.spawn(
        "trap 'echo bye >/dev/console; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
      )
      yield* sandbox.exec(["sleep", "0.5"])
      expect(yield* sandbox.shutdown({ grace: "30 seconds" })).toEqual({ _tag: "PowerOff" })
      expect(yield* polite.exit).toEqual({ exitCode: 0 })
      expect(Buffer.from(yield* sandbox.console.history).toString()).toContain("bye")
      expect(yield* Effect.flip(sandbox.exec(["true"]))).toMatchObject({ reason: "Disconnected" })
    }))

  test("shutdown: who does not obey is killed when the grace is over", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch()
      const stubborn = yield* sandbox.spawn("trap '' TERM; while :; do sleep 0.1; done")
      yield* sandbox.exec(["sleep", "0.5"])
      expect(yield* sandbox.shutdown({ grace: "1 second" })).toEqual({ _tag: "PowerOff" })
      expect(yield* stubborn.exit).toEqual({ exitCode: 137, signal: "SIGKILL" })
    }))

  test("the power button is as good, and ends what runs at the console, too", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch()
      yield* sandbox.console.expect("capsa# ", { timeout: "1 minute" })
      yield* sandbox.console.writeLine("sleep 1000")
      const running = yield* sandbox.spawn(["sleep", "1000"])
      expect(yield* sandbox.stop({ grace: "1 minute" })).toEqual({ _tag: "PowerOff" })
      expect(yield* running.exit).toMatchObject({ signal: "SIGTERM" })
    }))

  test("main: the machine ends with it, with its status", () =>
    Effect.gen(function* () {
      const main = {
        argv: ["sh", "-c", 'echo "$GREETING from $(pwd) as $(id -u)"; exit 7'],
        env: { GREETING: "hello" },
        cwd: "/tmp",
        user: "nobody"
      }
      const vm = yield* Vm.launch({ boot: quick, memory: "128MiB", readyTimeout, main })
      expect(yield* vm.wait).toEqual({ _tag: "PowerOff", status: 7 })
      expect(Buffer.from(yield* vm.console.history).toString()).toContain("hello from /tmp as 65534")
    }))

  test("main: a signal is a status, and SIGTERM is passed on", () =>
    Effect.gen(function* () {
      const killed = yield* launch({ main: { argv: ["sh", "-c", "kill -KILL $$"] } })
      expect(yield* killed.wait).toEqual({ _tag: "PowerOff", status: 137 })
      const polite = yield* launch({
        main: { argv: ["sh", "-c", "trap 'exit 9' TERM; echo main runs; while :; do sleep 0.1; done"] }
      })
      yield* polite.console.expect("main runs", { timeout: "1 minute" })
      expect(yield* polite.stop({ grace: "1 minute" })).toEqual({ _tag: "PowerOff", status: 9 })
    }))

  test("main: a crash is a status, and one that does not obey is killed when the grace is over", () =>
    Effect.gen(function* () {
      const crashed = yield* launch({ main: { argv: ["sh", "-c", "kill -SEGV $$"] } })
      expect(yield* crashed.wait).toEqual({ _tag: "PowerOff", status: 139 })
      const stubborn = yield* launch({
        main: { argv: ["sh", "-c", "trap '' TERM; echo main runs; while :; do sleep 0.1; done"] }
      })
      yield* stubborn.console.expect("main runs", { timeout: "1 minute" })
      expect(yield* stubborn.shutdown({ grace: "1 second" })).toEqual({ _tag: "PowerOff", status: 137 })
    }))

  test("main: one that cannot be started fails the launch", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(launch({ main: { argv: ["no-such-program"] } }))
      expect(error).toMatchObject({ _tag: "SandboxError", reason: "CannotStart", subject: "no-such-program" })
    }))

  test("a step of the start that fails is an error that names it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(launch({ boot: { ...quick, cmdline: "capsa.share=nothing:ro:/data" } }))
      expect(error).toMatchObject({ _tag: "SandboxError", reason: "StartFailed", step: "mount", subject: "/data" })
    }))

  test("shares: a folder that the host lacks, and a place that the guest cannot have it at, fail the launch", () =>
    Effect.gen(function* () {
      const sharing = (host: string, guest: string) =>
        Sandbox.launch({ memory: "128MiB", readyTimeout, shares: [{ host, guest }], main: { argv: ["true"] } }).pipe(
          Effect.scoped,
          Effect.flip,
          Effect.provideService(GuestImage, tinyGuest)
        )
      expect(yield* sharing("/nowhere/folder", "/data")).toMatchObject({
        _tag: "VmConfigError",
        problems: [{ path: "shares.0.host", detail: expect.stringContaining("/nowhere/folder") }]
      })
      expect(yield* sharing("/tmp", "data")).toMatchObject({
        _tag: "VmConfigError",
        problems: [{ path: "shares.0.guest" }]
      })
      expect(yield* sharing("/tmp", "/etc/passwd")).toMatchObject({
        _tag: "SandboxError",
        reason: "StartFailed",
        step: "mount",
        subject: "/etc/passwd"
      })
    }))

  test("an agent that stands still is told from one that is busy, and the machine can be ended", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch()
      const running = yield* Effect.fork(Effect.flip(sandbox.exec(["sleep", "1000"])))
      // Not even root can kill the first process or stop it by a signal.
      const freeze = "mkdir /sys/fs/cgroup/still; cd /sys/fs/cgroup/still; echo 1 >cgroup.procs; echo 1 >cgroup.freeze"
      const freezing = yield* Effect.fork(Effect.flip(sandbox.exec(freeze)))
      for (const call of [running, freezing]) expect(yield* Fiber.join(call)).toMatchObject({ reason: "Unresponsive" })
      expect(yield* Effect.flip(sandbox.health)).toMatchObject({ reason: "Unresponsive" })
      expect((yield* sandbox.status)._tag).toBe("Running")
      expect(yield* sandbox.stop({ grace: "1 second" })).toMatchObject({ _tag: "Killed" })
    }))

  test("an agent that is killed takes its guest with it: a typed error, and the exit", () =>
    Effect.gen(function* () {
      const sandbox = yield* launch()
      const running = yield* Effect.fork(Effect.flip(sandbox.exec(["sleep", "1000"])))
      // All of its code is overwritten: the kernel has no other way to kill the first process.
      const kill = [
        "from=$(head -n 2 /proc/1/maps | grep -m 1 r-xp | cut -d - -f 1)",
        "dd if=/dev/zero of=/proc/1/mem bs=4096 seek=$((0x$from / 4096)) count=8 conv=notrunc"
      ]
      yield* Effect.forkScoped(Effect.ignore(sandbox.exec(kill.join("; "))))
      expect(yield* Fiber.join(running)).toMatchObject({ _tag: "SandboxError", reason: "Disconnected" })
      expect(yield* sandbox.wait).toMatchObject({ _tag: "Panic" })
      expect(yield* sandbox.shutdown()).toMatchObject({ _tag: "Panic" })
    }))

  test(`a file of ${largeFileMib} MiB, up and down as it comes`, () =>
    Effect.gen(function* () {
      const total = largeFileMib * MiB
      const sandbox = yield* launch({ memory: isFull ? "2GiB" : "256MiB" })
      const path = "/large/file"
      yield* sandbox.exec(`mkdir /large && mount -t tmpfs -o size=${largeFileMib + 8}m tmpfs /large`)
      const expected = yield* hashOf(patternStream(total))
      Bun.gc(true)
      const before = ownBytes()
      let highest = before
      const watched = <E>(stream: Stream.Stream<Uint8Array, E>) =>
        Stream.tap(stream, () =>
          Effect.sync(() => {
            highest = Math.max(highest, ownBytes())
          })
        )
      const [up] = yield* Effect.timed(sandbox.files.write(path, watched(patternStream(total))))
      expect((yield* sandbox.exec(["sha256sum", path])).stdout).toStartWith(expected.sha256)
      const [down, received] = yield* Effect.timed(hashOf(watched(sandbox.files.stream(path))))
      expect(received).toEqual(expected)
      const growthMib = Math.round((highest - before) / MiB)
      yield* Effect.log(
        `${largeFileMib} MiB: up in ${Duration.format(up)}, down in ${Duration.format(down)}; ${growthMib} MiB of memory`
      )
      expect(growthMib).toBeLessThan(128)
    }))

  test("a guest without an agent is given up, and says how far it came", () =>
    Effect.gen(function* () {
      const boot = { ...quick, cmdline: "capsa.init=/bin/sh" }
      const error = yield* Effect.flip(launch({ boot, readyTimeout: "40 seconds" }))
      expect(error).toMatchObject({
        _tag: "VmBootError",
        reason: "Timeout",
        stage: "init",
        hint: expect.stringContaining("agent")
      })
    }))

  test("a guest that ends first says how", () =>
    Effect.gen(function* () {
      const boot = { ...quick, cmdline: "capsa.init=/bin/false" }
      expect(yield* Effect.flip(launch({ boot }))).toMatchObject({ _tag: "VmBootError", reason: "InitFailed" })
    }))
})
