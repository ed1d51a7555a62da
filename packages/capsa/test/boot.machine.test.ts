/**
 * Real boots, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the default). Needs the images of
 * @capsa/guest, which are taken from the cache or built, and for kvm a host where KVM runs guests on hardware.
 */
import { describe, expect } from "bun:test"
import { freemem, tmpdir } from "node:os"
import { join } from "node:path"
import { type Backend, type Capabilities, ConsoleError, type DirectBoot, type VmConfig } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { live } from "@capsa/testing"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunContext from "@effect/platform-bun/BunContext"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Vm as Machine } from "../src/Vm.ts"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick, tiny } from "./fixtures/realBackend.ts"

const debian = await Effect.runPromise(Effect.provide(GuestImages.debian, BunContext.layer))

/** Emulators are slow, and emulators in emulators are slower still. */
const bootTime = "2 minutes"
const answerTime = "40 seconds"
const testMs = 300_000

const initrd = tiny.initrd

const launch = (config: VmConfig = {}) => Vm.launch({ boot: quick, ...config })

const booted = Effect.fnUntraced(function* (config: VmConfig = {}) {
  const vm = yield* launch(config)
  yield* vm.console.expect("capsa: init", { timeout: bootTime })
  yield* vm.console.expect("capsa# ", { timeout: answerTime })
  return vm
})

/** Types a command whose answer differs from its own echo. */
const ask = (vm: Machine, command: string, answer: RegExp, timeout: Duration.DurationInput = answerTime) =>
  vm.console.writeLine(command).pipe(
    Effect.zipRight(vm.console.expect(answer, { timeout })),
    Effect.map(({ match }) => match[1])
  )

const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>, skip = false) =>
  live.skipIf(skip)(name, () => body().pipe(Effect.tapError(showConsole), Effect.provide(backend)), testMs)

/** What the guest said last is the first thing to look at. */
const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

describe(`boots on ${backendName}`, () => {
  type Kind = Capabilities["kernels"][number]
  type Boot = readonly [Kind, string, DirectBoot, { readonly kernelRelease: string }]
  const { bzImage, vmlinux, Image } = tiny.kernels
  const named = (kind: Kind, kernel: string | undefined, ...more: ReadonlyArray<readonly [string, object]>) =>
    kernel === undefined
      ? []
      : [["", {}] as const, ...more].map(
          ([what, options]): Boot => [kind, `the tiny ${kind}${what}`, { kernel, initrd, ...options }, tiny]
        )
  const onVirtio = [" on a virtio console", { console: "virtio" }] as const
  const distributionKind = Image === undefined ? "bzImage" : "Image"
  const boots: ReadonlyArray<Boot> = [
    [
      distributionKind,
      `the distribution's ${distributionKind}`,
      { kernel: debian.kernel, initrd: debian.initrd },
      debian
    ],
    ...named("vmlinux", vmlinux, onVirtio),
    ...named("bzImage", bzImage, [
      " told of its devices on the command line",
      { console: quick.console, discovery: "cmdline" }
    ]),
    ...named("Image", Image, onVirtio)
  ]
  for (const [kind, name, boot, { kernelRelease }] of boots) {
    const lacks = [
      capabilities.kernels.includes(kind) ? "" : `${kind} kernels`,
      capabilities.consoles.includes(boot.console ?? "serial") ? "" : `${boot.console} consoles`,
      capabilities.discovery.includes(boot.discovery ?? "firmware") ? "" : `discovery by ${boot.discovery}`
    ].filter((lack) => lack !== "")
    const cause = lacks.length === 0 ? "" : ` — skipped: ${backendName} has no ${lacks.join(", no ")}`
    test(
      `${name}${cause}`,
      () =>
        Effect.gen(function* () {
          const vm = yield* booted({ boot })
          expect(yield* ask(vm, "echo release=$(uname -r)", /release=([\w.+~-]+)\r?\n/)).toBe(kernelRelease)
          expect(yield* vm.status).toEqual({ _tag: "Running" })
          const stages = yield* vm.stages
          expect(stages.map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
          const times = stages.map(({ atMs }) => atMs)
          expect(times).toEqual(times.toSorted((a, b) => a - b))
          expect(times[0]).toBeGreaterThanOrEqual(0)
        }),
      lacks.length > 0
    )
  }

  test("the built-in guest without any configuration", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* vm.console.expect("capsa# ", { timeout: bootTime })
    }))

  test("4 processors", () =>
    Effect.gen(function* () {
      const vm = yield* booted({ cpus: 4 })
      expect(yield* ask(vm, "echo cpus=$(nproc)", /cpus=(\d+)\r?\n/)).toBe("4")
    }))

  const gib = 1024 * 1024 * 1024
  const scarce = freemem() < 6 * gib
  test(
    `5 GiB of memory${scarce ? " — skipped: this host has less than 6 GiB free" : ""}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* booted({ memory: "5GiB" })
        const kib = Number(yield* ask(vm, "grep MemTotal /proc/meminfo", /MemTotal: +(\d+) kB/))
        // The kernel keeps some for itself, and counts none that it cannot reach.
        expect(kib * 1024).toBeGreaterThan(4.75 * gib)
        expect(kib * 1024).toBeLessThanOrEqual(5 * gib)
      }),
    scarce
  )

  test("a parameter of the user reaches the kernel", () =>
    Effect.gen(function* () {
      const vm = yield* booted({ boot: { ...quick, cmdline: 'panic=7 capsa.test="a b"' } })
      const cmdline = yield* ask(vm, 'echo "li""ne: $(cat /proc/cmdline)"', /line: ([^\r\n]*)\r?\n/)
      expect(cmdline).toContain('capsa.test="a b"')
      expect(cmdline).toContain("panic=7")
      expect(cmdline).not.toContain("panic=-1")
    }))
})

describe(`ends on ${backendName}`, () => {
  for (const [command, exit] of [
    ["poweroff -f", { _tag: "PowerOff" }],
    ["reboot -f", { _tag: "Reboot" }],
    ["echo c > /proc/sysrq-trigger", { _tag: "Panic", message: "sysrq triggered crash" }]
  ] as const) {
    test(`${command}: ${exit._tag}, for every waiter`, () =>
      Effect.gen(function* () {
        const vm = yield* booted()
        yield* vm.console.writeLine(command)
        const [one, two] = yield* Effect.all([vm.wait, vm.wait], { concurrency: "unbounded" }).pipe(
          Effect.timeout(answerTime)
        )
        expect(one).toEqual(exit)
        expect(two).toBe(one)
        expect(yield* vm.status).toEqual({ _tag: "Ended", exit })
      }))
  }

  test("a panic after which the kernel stands still: Panic", () =>
    Effect.gen(function* () {
      const vm = yield* booted({ boot: { ...quick, cmdline: "panic=0" } })
      yield* vm.console.writeLine("echo c > /proc/sysrq-trigger")
      expect(yield* Effect.timeout(vm.wait, answerTime)).toEqual({ _tag: "Panic", message: "sysrq triggered crash" })
    }))

  test("kill: Killed, whatever the guest does", () =>
    Effect.gen(function* () {
      const vm = yield* booted()
      yield* vm.console.writeLine("while :; do :; done")
      expect(yield* vm.kill).toEqual({ _tag: "Killed" })
      expect(yield* vm.wait).toEqual({ _tag: "Killed" })
    }))

  test("kill right after the launch: Killed", () =>
    Effect.gen(function* () {
      expect(yield* (yield* launch()).kill).toEqual({ _tag: "Killed" })
    }))

  test(
    `stop: the guest obeys the power button${capabilities.powerButton ? "" : ` — skipped: ${backendName} has none`}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* booted()
        expect(yield* vm.stop({ grace: answerTime })).toEqual({ _tag: "PowerOff" })
      }),
    !capabilities.powerButton
  )

  test(
    `stop: the power button does a kernel that starts no harm${capabilities.powerButton ? "" : ` — skipped: ${backendName} has none`}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* launch()
        yield* vm.console.expect("Memory: ", { timeout: bootTime })
        const { _tag } = yield* vm.stop({ grace: "20 seconds" })
        // Whether it finds the button pressed once it has a driver for it is up to the kernel.
        expect(["PowerOff", "Killed"]).toContain(_tag)
      }),
    !capabilities.powerButton
  )

  test("a closed scope: Killed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const vm = yield* Scope.extend(booted(), scope)
      yield* Scope.close(scope, Exit.void)
      expect(yield* vm.wait).toEqual({ _tag: "Killed" })
    }))
})

describe(`runs on ${backendName}`, () => {
  test("a flood that nobody reads does not stop the guest", () =>
    Effect.gen(function* () {
      const vm = yield* booted({ console: { historyBytes: 65_536 } })
      yield* vm.console.writeLine("dd if=/dev/zero bs=64k count=16 2>/dev/null | tr '\\0' '-'")
      // What comes on the heels of a flood may be dropped with it, so the question is put until it is answered.
      const answer = yield* Effect.retry(ask(vm, "echo alive=$((40+2))", /alive=(\d+)\r?\n/, "5 seconds"), {
        times: 30,
        while: ({ retryable }) => retryable
      })
      expect(answer).toBe("42")
      expect((yield* vm.console.history).length).toBe(65_536)
    }))

  test(
    `pause and resume${capabilities.pause ? "" : ` — skipped: ${backendName} cannot pause`}`,
    () =>
      Effect.gen(function* () {
        const vm = yield* booted()
        yield* vm.pause
        expect(yield* vm.status).toEqual({ _tag: "Paused" })
        yield* vm.console.writeLine("echo resumed=$((40+2))")
        yield* vm.resume
        yield* vm.console.expect("resumed=42", { timeout: answerTime })
        expect(yield* vm.status).toEqual({ _tag: "Running" })
      }),
    !capabilities.pause
  )
})

describe(`refuses on ${backendName}`, () => {
  const scratch = Effect.flatMap(FileSystem.FileSystem, (fs) =>
    fs.makeTempDirectoryScoped({ directory: tmpdir() })
  ).pipe(Effect.provide(BunContext.layer))

  test("a kernel that is not there", () =>
    Effect.gen(function* () {
      const kernel = join(yield* scratch, "none")
      const error = yield* Effect.flip(launch({ boot: { kernel } }))
      expect(error).toMatchObject({ _tag: "VmConfigError", reason: "Invalid", problems: [{ path: "boot.kernel" }] })
      expect(error.message).toContain(kernel)
    }))

  for (const [what, content] of [
    ["garbage", () => Promise.resolve(new Uint8Array(65_536).fill(0x5a))],
    ["a kernel that was cut off", () => Bun.file(debian.kernel).slice(0, 600).bytes()]
  ] as const) {
    test(`${what} as a kernel`, () =>
      Effect.gen(function* () {
        const kernel = join(yield* scratch, "kernel")
        const bytes = yield* Effect.promise(content)
        yield* Effect.promise(() => Bun.write(kernel, bytes))
        const error = yield* Effect.flip(launch({ boot: { kernel } }))
        expect(error).toMatchObject({ _tag: "VmBootError", reason: "KernelInvalid" })
        expect(error.message).toContain(kernel)
        expect(error.hint).not.toBe("")
      }))
  }
})
