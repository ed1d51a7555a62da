import { describe, expect } from "bun:test"
import { join } from "node:path"
import { effect, live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { Qemu } from "../src/index.ts"
import { bootPlayed, played } from "./fixtures/playedQemu.ts"
import { processesWith, until } from "./fixtures/processes.ts"

describe("a boot fails", () => {
  const failures: ReadonlyArray<[string, string, object]> = [
    ["with QEMU's reason, when it ends", "echo 'qemu: invalid kernel header' >&2; exit 1", { reason: "KernelInvalid" }],
    [
      "with QEMU's reason, when it ends after the greeting",
      "greet; echo 'cannot set up guest memory' >&2; exit 1",
      { reason: "HostResources", stage: "created" }
    ],
    ["when QEMU ends without a word", "exit 0", { reason: "HostFailure" }],
    [
      "at garbage",
      "say 'hello there'; stay",
      { reason: "HostFailure", detail: expect.stringContaining("hello there") }
    ],
    ["at garbage after the greeting", "greet; say '{}'; stay", { reason: "HostFailure", stage: "created" }],
    ["when the monitor is closed", "greet; exec 3<&-; stay", { reason: "HostFailure", stage: "created" }],
    [
      "when a command is refused",
      'greet; answer 0; read -r c <&3; say \'{"error": {"class": "G", "desc": "cannot go on"}, "id": 1}\'; stay',
      { reason: "HostFailure", stage: "loaded", detail: expect.stringContaining("cannot go on") }
    ]
  ]
  for (const [how, script, error] of failures) {
    live(how, () =>
      Effect.gen(function* () {
        const played_ = yield* played(script)
        expect(yield* Effect.flip(Effect.scoped(bootPlayed(played_)))).toMatchObject({
          _tag: "VmBootError",
          hint: expect.stringMatching(/\w/),
          ...error
        })
        yield* played_.isGone
      })
    )
  }

  effect("when QEMU is silent", () =>
    Effect.gen(function* () {
      const silent = yield* played(": > $(dirname $0)/started; stay")
      const booting = yield* Effect.fork(Effect.scoped(bootPlayed(silent)))
      yield* until(() => processesWith(silent.folder).length > 0)
      yield* TestClock.adjust("30 seconds")
      expect(yield* Effect.flip(Fiber.join(booting))).toMatchObject({
        reason: "HostFailure",
        detail: expect.stringContaining("did not answer")
      })
      yield* silent.isGone
    })
  )

  live("before anything is started, when the kernel is none", () =>
    Effect.gen(function* () {
      const idle = yield* played(": > $(dirname $0)/started")
      const refused = (kernel: string) =>
        Effect.flip(Effect.scoped(bootPlayed({ ...idle, plan: { ...idle.plan, kernel } })))
      const bad = (name: string, bytes: Uint8Array) =>
        Effect.promise(() => Bun.write(join(idle.folder, name), bytes)).pipe(
          Effect.zipRight(refused(join(idle.folder, name)))
        )
      expect(yield* refused("/nonexistent")).toMatchObject({ reason: "KernelUnreadable", subject: "/nonexistent" })
      expect(yield* refused(idle.folder)).toMatchObject({ reason: "KernelUnreadable", subject: idle.folder })
      expect(yield* bad("empty", new Uint8Array(0))).toMatchObject({ reason: "KernelInvalid", field: "magic" })
      expect(yield* bad("text", new Uint8Array(65_536).fill(0x5a))).toMatchObject({ reason: "KernelInvalid" })
      const header = new Uint8Array(1024)
      header.set(new TextEncoder().encode("HdrS"), 0x202)
      header.set([1, 0, 0, 0, 1], 0x1f1)
      expect(yield* bad("cut", header)).toMatchObject({ reason: "KernelInvalid", field: "syssize" })
      expect(yield* Effect.promise(() => Bun.file(join(idle.folder, "started")).exists())).toBe(false)
    })
  )

  live("before anything is started, when the kernel is for another architecture", () =>
    Effect.gen(function* () {
      const idle = yield* played(": > $(dirname $0)/started")
      const refused = (name: string, bytes: Uint8Array, architecture: "x86_64" | "arm64") =>
        Effect.gen(function* () {
          const kernel = join(idle.folder, name)
          yield* Effect.promise(() => Bun.write(kernel, bytes))
          const booting = bootPlayed({ ...idle, plan: { ...idle.plan, kernel } }, architecture)
          return yield* Effect.flip(Effect.scoped(booting))
        })
      const withText = (text: string, offset: number) => {
        const bytes = new Uint8Array(1024)
        bytes.set(new TextEncoder().encode(text), offset)
        return bytes
      }
      expect(yield* refused("bzImage", withText("HdrS", 0x202), "arm64")).toMatchObject({
        reason: "KernelInvalid",
        detail: "The kernel is for x86_64, and the machine for arm64",
        hint: expect.stringContaining('Qemu.layer({ architecture: "x86_64" })')
      })
      expect(yield* refused("Image", withText("ARMd", 56), "x86_64")).toMatchObject({
        reason: "KernelInvalid",
        detail: "The kernel is for arm64, and the machine for x86_64",
        hint: expect.stringContaining('Qemu.layer({ architecture: "arm64" })')
      })
      expect(yield* refused("Image.gz", new Uint8Array([0x1f, 0x8b, 8, 0]), "arm64")).toMatchObject({
        reason: "KernelInvalid",
        field: "magic",
        hint: expect.stringContaining("gunzip")
      })
      expect(yield* Effect.promise(() => Bun.file(join(idle.folder, "started")).exists())).toBe(false)
    })
  )

  live("before anything is started, when there is no firmware", () =>
    Effect.gen(function* () {
      const { folder, plan: started, program } = yield* played(": > $(dirname $0)/started")
      const { cmdline: _, kernel: __, ...rest } = started
      const plan = { ...rest, firmware: "uefi", console: "serial", discovery: "firmware" } as const
      expect(yield* Effect.flip(Effect.scoped(bootPlayed({ plan, program })))).toMatchObject({
        _tag: "VmBootError",
        reason: "FirmwareUnavailable",
        field: "boot.firmware",
        hint: "Install it."
      })
      expect(yield* Effect.promise(() => Bun.file(join(folder, "started")).exists())).toBe(false)
    })
  )

  live("when QEMU is gone by then", () =>
    Effect.gen(function* () {
      const { plan } = yield* played("")
      const program = "/nonexistent/qemu-system-x86_64"
      expect(yield* Effect.flip(Effect.scoped(bootPlayed({ plan, program })))).toMatchObject({
        _tag: "BackendError",
        reason: "ProgramMissing",
        subject: program
      })
    })
  )

  live("and leaves nothing when it is interrupted", () =>
    Effect.gen(function* () {
      const silent = yield* played("greet; stay")
      const booting = yield* Effect.fork(Effect.scoped(bootPlayed(silent)))
      yield* until(() => processesWith(silent.folder).length > 0)
      yield* Fiber.interrupt(booting)
      yield* silent.isGone
    })
  )
})

live("the power button of an arm64 machine is a key", () =>
  Effect.gen(function* () {
    const machineAt = yield* played(
      'start; read -r c <&3; echo "$c" > $(dirname $0)/heard; say "{\\"return\\": {}, \\"id\\": 2}"; stay'
    )
    const kernel = join(machineAt.folder, "Image")
    const image = new Uint8Array(64)
    image.set(new TextEncoder().encode("ARMd"), 56)
    yield* Effect.promise(() => Bun.write(kernel, image))
    const machine = yield* bootPlayed({ ...machineAt, plan: { ...machineAt.plan, kernel } }, "arm64")
    yield* machine.powerOff
    expect(yield* Effect.promise(() => Bun.file(join(machineAt.folder, "heard")).json())).toMatchObject({
      execute: "send-key",
      arguments: { keys: [{ type: "qcode", data: "power" }] }
    })
  })
)

describe("a machine ends", () => {
  live("when its monitor speaks garbage", () =>
    Effect.gen(function* () {
      const gone = yield* played("start; say 'no more QMP'; stay")
      const machine = yield* bootPlayed(gone)
      expect(yield* machine.exit).toMatchObject({ _tag: "Failed", detail: expect.stringContaining("no more QMP") })
      expect(yield* Effect.flip(machine.pause)).toMatchObject({ _tag: "MachineError", reason: "NotRunning" })
      yield* gone.isGone
    })
  )

  live("when its processor cannot go on", () =>
    Effect.gen(function* () {
      const stuck = yield* played(
        `start; say '{"event": "STOP"}'; read -r c <&3; say '{"return": {"status": "internal-error"}, "id": 2}'; stay`
      )
      const machine = yield* bootPlayed(stuck)
      expect(yield* machine.exit).toEqual({ _tag: "Failed", detail: "QEMU stopped the machine: internal-error." })
    })
  )

  live("with QEMU's last words", () =>
    Effect.gen(function* () {
      const machine = yield* bootPlayed(yield* played("start; echo 'qemu: bug' >&2; exit 3"))
      expect(yield* machine.exit).toEqual({ _tag: "Failed", detail: "QEMU ended with status 3: qemu: bug" })
    })
  )

  effect("also when QEMU does not end after the guest has", () =>
    Effect.gen(function* () {
      const slow = yield* played(
        `start; say '{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}'; answer 2; answer 3; stay`
      )
      const machine = yield* bootPlayed(slow)
      // The answers come after the event, so that the grace period has begun.
      yield* machine.pause
      const exit = yield* Effect.fork(machine.exit)
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(exit)).toEqual({ _tag: "Reboot" })
    })
  )
})

describe("the layer", () => {
  const build = (program: string) => Effect.flip(Effect.scoped(Layer.build(Qemu.layer({ program }))))

  live("says what to install where QEMU is missing", () =>
    Effect.gen(function* () {
      const error = yield* build("qemu-system-nonexistent")
      expect(error).toMatchObject({ reason: "ProgramMissing", subject: "qemu-system-nonexistent" })
      expect(error.hint).toContain("apt install qemu-system-x86")
      expect(error.hint).toContain("brew install qemu")
      const forArm = yield* build("/nonexistent/qemu-system-aarch64")
      expect(forArm.hint).toContain("apt install qemu-system-arm")
    })
  )

  for (const [what, script, detail] of [
    ["is too old", 'case "$*" in --version) echo "QEMU emulator version 6.2.0";; *) exit 1;; esac', "6.2.0 is too old"],
    ["is no QEMU", "echo hello", "hello"],
    [
      "lacks the machine type",
      'case "$*" in --version) echo "QEMU emulator version 9.0.0";; *) echo "unsupported machine type" >&2; exit 1;; esac',
      "unsupported machine type"
    ],
    [
      "lacks a device",
      `case "$*" in --version) echo "QEMU emulator version 9.0.0";; *) echo "'virtio-serial-pci' is not a valid device model name" >&2; exit 1;; esac`,
      "virtio-serial-pci"
    ],
    [
      "speaks garbage",
      'case "$*" in --version) echo "QEMU emulator version 9.0.0";; *) say garbage; stay;; esac',
      "garbage"
    ]
  ] as const) {
    live(`refuses a QEMU that ${what}`, () =>
      Effect.gen(function* () {
        const { isGone, program } = yield* played(script)
        const error = yield* build(program)
        expect(error).toMatchObject({ reason: "ProgramUnusable", subject: program })
        expect(error.message).toContain(detail)
        expect(error.hint).toContain("apt install qemu-system-x86")
        yield* isGone
      })
    )
  }
})
