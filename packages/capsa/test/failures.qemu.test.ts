/** Every reason that takes a guest, from its real cause, on QEMU; and what boots that fail tell. */
import { describe, expect } from "bun:test"
import { join } from "node:path"
import { Backend, type KernelPlan, type VmConfig } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { GuestImages } from "@capsa/guest"
import * as Cpio from "@capsa/guest/Cpio"
import { Qemu } from "@capsa/qemu"
import * as VariablesLock from "@capsa/state/VariablesLock"
import { live, planOf } from "@capsa/testing"
import { type Cause, type ofGuests, produces } from "@capsa/testing/failures"
import { processesWith } from "@capsa/testing/processes"
import * as FileSystem from "@effect/platform/FileSystem"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { GuestImage } from "../src/GuestImage.ts"
import * as Vm from "../src/Vm.ts"

const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
const { bzImage: kernel, initrd } = tiny

const testMs = 300_000
const readyTimeout = "2 minutes"

/** A file of these bytes, gone with the scope. */
const file = (name: string, bytes: Uint8Array) =>
  Effect.gen(function* () {
    const path = join(yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped(), name)
    yield* (yield* FileSystem.FileSystem).writeFile(path, bytes, { mode: 0o755 })
    return path
  }).pipe(Effect.provide(BunContext.layer), Effect.orDie)

/** An initrd with nothing but this program as /init. */
const initrdWith = (init: string, executable = true) =>
  file(
    "initrd",
    Cpio.encode([
      { type: "folder", path: "dev" },
      { type: "device", path: "dev/console", major: 5, minor: 1 },
      { type: "file", path: "init", content: new TextEncoder().encode(init), executable }
    ])
  )

const launch = (boot: NonNullable<VmConfig["boot"]>, more: VmConfig = {}) =>
  Effect.scoped(Vm.launch({ memory: "128MiB", readyTimeout, ...more, boot }))

const launchWithInitrd = (made: Effect.Effect<string, never, Scope.Scope>) =>
  Effect.flatMap(made, (initrd) => launch({ kernel, initrd }))

/** Launches images that nobody has looked at before. */
const launchImages = (kernel: string, initrd: string) =>
  Effect.provideService(Effect.scoped(Vm.launch({})), GuestImage, {
    images: () => Effect.succeed({ kernel, initrd, console: "serial" })
  })

/** A plan that no configuration would lead to. */
const bootPlan = (more: Partial<KernelPlan>) =>
  Effect.flatMap(Backend, ({ boot }) =>
    boot(planOf({ kernel, initrd, cmdline: "console=ttyS0 reboot=k panic=-1", ...more }))
  )

/** Boots firmware, or what passes for it, whose variables are in a file of this size. */
const bootFirmware = Effect.fnUntraced(function* (
  bytes: number,
  before: typeof VariablesLock.take = () => Effect.void
) {
  const flash = yield* file("flash", new Uint8Array(4096))
  const variables = yield* file("variables", new Uint8Array(bytes))
  yield* before(variables)
  const { cmdline: _, kernel: __, ...machine } = planOf()
  const plan = { ...machine, firmware: "uefi", variables, console: "serial", discovery: "firmware" } as const
  return yield* Effect.provide(
    Effect.flatMap(Backend, ({ boot }) => boot(plan)),
    Qemu.layer({ firmware: { code: flash, variables: flash } })
  )
})

/** QEMU, after a shell has done something. */
const program = (before: string) =>
  file("qemu", new TextEncoder().encode(`#!/bin/sh\n${before}\nexec ${Bun.which("qemu-system-x86_64")} "$@"\n`))

/** Passes every trial and dies when it gets a guest. */
const mortalQemu = program('case "$*" in *-kernel*) kill -KILL $$ ;; esac')

/** Stops QEMU's process itself, and lets the time pass in which it should have answered. */
const pauseOfStoppedQemu = Effect.gen(function* () {
  const name = `stopped-${crypto.randomUUID()}`
  const vm = yield* Vm.launch({ name, boot: { kernel, initrd }, memory: "128MiB" })
  for (const pid of processesWith(`guest=${name}`)) process.kill(pid, "SIGSTOP")
  const pausing = yield* Effect.fork(vm.pause)
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(pausing)
}).pipe(Effect.provide(TestContext.TestContext))

/** The kernel with its code overwritten: the processor gives up at the first instruction. */
const damaged = Effect.gen(function* () {
  const bytes = yield* Effect.promise(() => Bun.file(tiny.vmlinux).bytes())
  return yield* launch({ kernel: yield* file("vmlinux", bytes.fill(0xff, 0x20_0000, 0x40_0000)), initrd })
})

const causes: Record<(typeof ofGuests)[number], Cause<unknown, Backend | Scope.Scope>> = {
  "VmBootError.KernelUnreadable": {
    happens: launchImages("/nowhere/bzImage", initrd),
    says: { subject: "/nowhere/bzImage" }
  },
  "VmBootError.KernelInvalid": {
    happens: launch({ kernel: import.meta.path }),
    says: { subject: import.meta.path, hint: expect.stringContaining("bzImage") }
  },
  "VmBootError.InitrdUnreadable": {
    happens: launchImages(kernel, "/nowhere/initrd"),
    says: { subject: "/nowhere/initrd" }
  },
  "VmBootError.InitrdInvalid": {
    happens: bootPlan({ initrd: process.execPath, memoryMib: 64 }),
    says: { subject: process.execPath, hint: expect.stringContaining("more memory") }
  },
  "VmBootError.MemoryInvalid": {
    happens: launch({ kernel, initrd }, { memory: "500GiB" }),
    says: { field: "memoryMib", subject: "512000", message: expect.stringContaining("host has less memory") }
  },
  "VmBootError.FirmwareUnavailable": {
    happens: bootFirmware(512),
    says: { field: "boot.variables", message: expect.stringContaining("512 bytes") }
  },
  "VmBootError.VariablesInUse": {
    happens: bootFirmware(4096, VariablesLock.take),
    says: { field: "boot.variables", subject: expect.stringContaining("variables"), operation: "flock" }
  },
  // A configuration's folder is looked at before; it may go away, or become a file, after that.
  "VmBootError.ShareUnavailable": {
    happens: bootPlan({ shares: [{ host: kernel, guest: "/data", mode: "ro", tag: "data", cache: "auto" }] }),
    says: {
      subject: kernel,
      operation: "open",
      errno: "ENOTDIR",
      message: expect.stringContaining("folder"),
      hint: expect.stringContaining("shares[].host")
    }
  },
  "VmBootError.NetworkUnavailable": {
    happens: bootPlan({ network: { mode: "tap", mac: "02:00:00:00:00:01", device: "capsa-nowhere" } }),
    says: { subject: "capsa-nowhere", hint: expect.stringContaining("ip tuntap add") }
  },
  "VmBootError.PortUnavailable": {
    happens: Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.sync(() => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })),
        (server) => Effect.sync(() => server.stop())
      )
      const forward = { protocol: "tcp", address: "127.0.0.1", host: server.port, guest: 80 } as const
      const network = { mode: "user", mac: "02:00:00:00:00:01", policy: "public", forwards: [forward] } as const
      return yield* bootPlan({ network: { ...network, dnsServers: [], dnsSearch: [] } })
    }),
    says: { operation: "bind", errno: "EADDRINUSE", subject: expect.stringMatching(/^TCP port \d+ of 127\.0\.0\.1$/) }
  },
  "VmBootError.HostResources": {
    happens: Effect.flatMap(program("ulimit -v 3000000"), (program) =>
      Effect.provide(bootPlan({ memoryMib: 2048 }), Qemu.layer({ program }))
    ),
    says: { field: "memoryMib", retryable: true, causes: [expect.stringContaining("Cannot allocate memory")] }
  },
  "VmBootError.HostFailure": {
    happens: Effect.flatMap(mortalQemu, (program) =>
      launch({ kernel, initrd }).pipe(Effect.provide(Qemu.layer({ program })))
    ),
    says: { operation: "qemu-system-x86_64", hint: expect.stringContaining("capsa doctor") }
  },
  "VmBootError.RootMissing": {
    happens: launch({ kernel, cmdline: "root=/dev/vda" }),
    says: { subject: "vda", errno: "ENXIO", stage: "kernel", hint: expect.stringContaining("boot.initrd") }
  },
  "VmBootError.InitFailed": {
    happens: launchWithInitrd(initrdWith("#!/bin/nowhere\n")),
    says: { subject: "/init", errno: "ENOENT", hint: expect.stringContaining("interpreter") }
  },
  "VmBootError.KernelPanic": {
    happens: launch({ kernel, initrd, cmdline: "mem=8M" }),
    says: { stage: "kernel", message: expect.stringContaining("deadlocked on memory") }
  },
  "VmBootError.GuestEnded": {
    happens: damaged,
    says: {
      stage: "started",
      message: expect.stringContaining("Reboot"),
      hint: expect.stringContaining("triple fault")
    }
  },
  "MachineError.NotRunning": {
    happens: Effect.gen(function* () {
      const vm = yield* Vm.launch({ boot: { kernel, initrd }, memory: "128MiB" })
      yield* vm.kill
      yield* vm.console.write("x")
    }),
    says: { hint: expect.stringContaining("exit") }
  },
  "MachineError.Unsupported": {
    happens: Effect.flatMap(bootPlan({ discovery: "cmdline" }), ({ powerOff }) => powerOff),
    says: { field: "discovery", hint: expect.stringContaining("poweroff") }
  },
  "MachineError.HostFailure": {
    happens: pauseOfStoppedQemu,
    says: { operation: "QMP", message: expect.stringContaining("did not answer") }
  }
}

const run = (effect: Effect.Effect<void, unknown, Backend | Scope.Scope>) =>
  effect.pipe(Effect.scoped, Effect.provide(Qemu.layer()))

produces(Failure.Failure, causes, run, { timeoutMs: testMs })

describe("a boot that fails tells what is at fault and what to do", () => {
  const fails = (what: string, booting: () => ReturnType<typeof launchWithInitrd>, told: object, console: string) =>
    live(
      what,
      () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(booting())
          if (error._tag !== "VmBootError") throw error
          const { message, hint, stage, subject, consoleTail } = error
          expect(consoleTail).toContain(console)
          expect({ message, hint, stage, subject }).toMatchObject(told)
          const [last, ...before] = Failure.linesOf(error, { verbose: true }).toReversed()
          expect(last).toEqual({ kind: "hint", text: hint })
          expect(before.map(({ text }) => text).join("\n")).toContain(console)
        }).pipe(run),
      testMs
    )

  fails(
    "no root and no initrd",
    () => launch({ kernel }),
    {
      stage: "kernel",
      message: expect.stringContaining("VFS: Unable to mount root fs"),
      hint: expect.stringMatching(/boot\.initrd.*root=/)
    },
    "Unable to mount root fs"
  )
  fails(
    "an initrd without an init",
    () => launchWithInitrd(file("initrd", Cpio.encode([{ type: "folder", path: "dev" }]))),
    { stage: "kernel", subject: expect.stringMatching(/initrd$/), hint: expect.stringContaining("no /init") },
    "Unable to mount root fs"
  )
  fails(
    "an initrd that is garbage",
    () => launchWithInitrd(file("garbage", new Uint8Array(4096).fill(0x5a))),
    { subject: expect.stringMatching(/garbage$/), message: expect.stringContaining("invalid magic") },
    "Initramfs unpacking failed"
  )
  fails(
    "an initrd that was cut off",
    () =>
      launchWithInitrd(
        Effect.flatMap(
          Effect.promise(() => Bun.file(initrd).slice(0, 4096).bytes()),
          (bytes) => file("cut", bytes)
        )
      ),
    { subject: "/init", hint: expect.stringContaining("initrd ends in the middle") },
    "Failed to execute /init"
  )
  fails(
    "an init that is no program",
    () => launchWithInitrd(initrdWith("garbage")),
    { subject: "/init", message: expect.stringContaining("ENOEXEC"), hint: expect.stringContaining("architecture") },
    "Failed to execute /init"
  )
  fails(
    "an init that may not be executed",
    () => launchWithInitrd(initrdWith("#!/init\n", false)),
    { subject: "/init", message: expect.stringContaining("EACCES"), hint: expect.stringContaining("chmod +x") },
    "Failed to execute /init"
  )
  fails(
    "an init that was asked for and is not there",
    () => launch({ kernel, initrd, cmdline: "rdinit=/nowhere/init" }),
    { stage: "kernel", hint: expect.stringContaining("/init") },
    "Unable to mount root fs"
  )

  const refused = (what: string, booting: () => ReturnType<typeof launchWithInitrd>, said: ReadonlyArray<RegExp>) =>
    live(
      what,
      () =>
        Effect.gen(function* () {
          const text = Failure.pretty(yield* Effect.flip(booting()))
          for (const words of said) expect(text).toMatch(words)
        }).pipe(run),
      testMs
    )

  refused("a kernel that is none", () => launch({ kernel: import.meta.path }), [
    /neither a bzImage nor ELF/,
    /failures\.qemu/
  ])
  refused(
    "a kernel that was cut off",
    () =>
      Effect.flatMap(
        Effect.promise(() => Bun.file(kernel).slice(0, 100_000).bytes()),
        (bytes) => Effect.flatMap(file("bzImage", bytes), (kernel) => launch({ kernel }))
      ),
    [/cut off: it has 100000 bytes/, /\/bzImage/]
  )
  refused("an initrd larger than memory", () => launch({ kernel, initrd: process.execPath }, { memory: "64MiB" }), [
    /boot\.initrd: \S+bun\S* does not fit into 64 ?MiB/,
    /→ .*more memory/
  ])
})
