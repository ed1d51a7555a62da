import { afterAll, beforeAll, expect, test } from "bun:test"
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { KernelPlan, Machine, VmExit } from "@capsa/core"
import { Native, type NativeError } from "@capsa/native"
import { givenBack, planOf, settled } from "@capsa/testing"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as payload from "./payload.ts"

/** The reason this host's KVM cannot be used, or undefined. */
const missing = (): string | undefined => {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK)
    return undefined
  } catch (cause) {
    return String(cause)
  }
}
const skipped = missing()
const onKvm = (name: string, run: () => Effect.Effect<unknown, NativeError | Error, Native.Native | Scope.Scope>) =>
  test.skipIf(skipped !== undefined)(skipped === undefined ? name : `${name} — skipped: ${skipped}`, () =>
    Effect.runPromise(run().pipe(Effect.scoped, Effect.provide(Native.layer)))
  )

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "capsa-payload-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const plan = (kernel: Uint8Array | string, changes: Partial<KernelPlan> = {}): KernelPlan => {
  const path = typeof kernel === "string" ? kernel : join(folder, crypto.randomUUID())
  if (typeof kernel !== "string") writeFileSync(path, kernel)
  return planOf({ memoryMib: 32, kernel: path, ...changes })
}

const boot = (code: ReadonlyArray<number>, changes?: Partial<KernelPlan>) =>
  Effect.flatMap(Native.Native, (native) => native.boot(plan(payload.elf(code), changes)))

const output = (machine: Machine) =>
  machine.console.pipe(
    Stream.runCollect,
    Effect.map((chunks) => Buffer.concat(Chunk.toReadonlyArray(chunks)).toString())
  )

const endings: ReadonlyArray<readonly [name: string, code: ReadonlyArray<number>, exit: VmExit["_tag"]]> = [
  ["sleep state S5", payload.powerOff, "PowerOff"],
  ["the reset register", payload.reset, "Reboot"],
  ["the keyboard controller's reset", payload.resetByKeyboard, "Reboot"],
  ["a triple fault", payload.tripleFault, "Reboot"],
  ["the panic notifier", payload.panic, "Panic"],
  ["a jump to where nothing is", payload.nowhere, "Failed"]
]

for (const [name, code, exit] of endings)
  onKvm(`${name} ends the machine as ${exit}, after all of its output`, () =>
    Effect.gen(function* () {
      const machine = yield* boot([...payload.print("last words"), ...code])
      expect(yield* output(machine)).toBe("last words")
      expect((yield* machine.exit)._tag).toBe(exit)
    })
  )

for (const [name, code] of [
  ["spins", payload.spin],
  ["is halted", payload.halt],
  ["writes to a console that nobody reads", payload.chatter]
] as const)
  onKvm(`kill ends a machine that ${name}`, () =>
    Effect.gen(function* () {
      const machine = yield* boot(code)
      yield* machine.kill
      expect(yield* machine.exit).toEqual({ _tag: "Killed" })
    })
  )

onKvm("every waiter gets the same exit, also after the end", () =>
  Effect.gen(function* () {
    const machine = yield* boot(payload.powerOff)
    const exits = yield* Effect.all([machine.exit, machine.exit, machine.exit], { concurrency: "unbounded" })
    expect(exits.map((exit) => exit._tag)).toEqual(["PowerOff", "PowerOff", "PowerOff"])
    expect(yield* machine.exit).toBe(exits[0])
  })
)

onKvm("input reaches the guest whole, also when it is larger than every buffer", () =>
  Effect.gen(function* () {
    const machine = yield* boot(payload.echo)
    const sent = Uint8Array.from({ length: 40_000 }, (_, index) => 32 + (index % 90))
    yield* Effect.fork(machine.write(sent))
    const received = yield* machine.console.pipe(
      Stream.mapConcat((chunk) => chunk),
      Stream.take(sent.byteLength),
      Stream.runCollect
    )
    expect(Uint8Array.from(received)).toEqual(sent)
  })
)

onKvm("a paused machine stands still until it is resumed", () =>
  Effect.gen(function* () {
    const machine = yield* boot(payload.echo)
    yield* machine.pause
    const before = yield* machine.stats
    yield* machine.write(new TextEncoder().encode("x"))
    expect((yield* machine.stats).exits).toBe(before.exits)
    yield* machine.resume
    const echoed = yield* Stream.runHead(machine.console)
    expect(echoed._tag).toBe("Some")
  })
)

onKvm("what nobody answers reads as ones and goes on", () =>
  Effect.gen(function* () {
    const machine = yield* boot(payload.unclaimed)
    expect((yield* machine.exit)._tag).toBe("PowerOff")
  })
)

onKvm("writing to a machine that has ended is a typed error", () =>
  Effect.gen(function* () {
    const machine = yield* boot(payload.powerOff)
    yield* machine.exit
    const result = yield* Effect.either(machine.write(new Uint8Array(1)))
    expect(Either.isLeft(result) && result.left.reason).toBe("NotRunning")
  })
)

onKvm("a machine whose scope is wider than the library's ends with the library, and its calls stay safe", () =>
  Effect.gen(function* () {
    const machine = yield* Effect.provide(boot(payload.halt), Native.layer)
    expect(yield* machine.exit).toEqual({ _tag: "Killed" })
    yield* machine.kill
    const stats = yield* Effect.either(machine.stats)
    expect(Either.isLeft(stats) && stats.left.reason).toBe("NotRunning")
    const closed = yield* Effect.provide(Native.Native, Native.layer)
    const late = yield* Effect.either(closed.boot(plan(payload.elf(payload.halt))))
    expect(Either.isLeft(late) && late.left.status).toBe("State")
  })
)

const disk = (path: string, changes: Partial<KernelPlan["disks"][number]> = {}): KernelPlan["disks"][number] => ({
  path,
  format: "raw",
  blockDevice: false,
  backing: [],
  readOnly: false,
  ephemeral: false,
  serial: "disk",
  ...changes
})

const imageFile = (bytes: number): string => {
  const path = join(folder, crypto.randomUUID())
  writeFileSync(path, new Uint8Array(bytes))
  return path
}

onKvm("a disk that cannot be opened is told by its place, path and cause", () =>
  Effect.gen(function* () {
    const disks = [disk(imageFile(4096), { ephemeral: true }), disk("/nonexistent/disk.img")]
    const native = yield* Native.Native
    const result = yield* Effect.either(native.boot(plan(payload.elf(payload.halt), { disks })))
    expect(Either.isLeft(result) && result.left).toMatchObject({
      status: "DiskFile",
      operation: "open",
      subject: "/nonexistent/disk.img",
      field: "disks.1.path",
      errno: "ENOENT"
    })
  })
)

const failures: ReadonlyArray<
  readonly [name: string, kernel: () => Uint8Array | string, changes: Partial<KernelPlan>, status: string]
> = [
  ["a missing kernel", () => "/nonexistent/kernel", {}, "KernelFile"],
  ["a folder as kernel", () => "/tmp", {}, "KernelFile"],
  ["a device as kernel", () => "/dev/zero", {}, "KernelFile"],
  ["an empty kernel", () => new Uint8Array(0), {}, "KernelInvalid"],
  ["noise as kernel", () => new Uint8Array(8192).fill(0x5a), {}, "KernelInvalid"],
  ["a missing initrd", () => payload.elf(payload.spin), { initrd: "/nonexistent/initrd" }, "InitrdFile"],
  ["a command line over the limit", () => payload.elf(payload.spin), { cmdline: "x".repeat(5000) }, "CmdlineInvalid"],
  ["an absurd command line", () => payload.elf(payload.spin), { cmdline: "x".repeat(100_000) }, "InvalidArgument"],
  ["no memory", () => payload.elf(payload.spin), { memoryMib: 0 }, "MemoryInvalid"],
  [
    "memory beyond every processor's addresses",
    () => payload.elf(payload.spin),
    { memoryMib: 2 ** 32 },
    "MemoryInvalid"
  ],
  ["a folder as disk", () => payload.elf(payload.spin), { disks: [disk("/tmp")] }, "DiskFile"],
  ["a character device as disk", () => payload.elf(payload.spin), { disks: [disk("/dev/null")] }, "DiskFile"],
  [
    "nine disks",
    () => payload.elf(payload.spin),
    { disks: Array.from({ length: 9 }, () => disk("/")) },
    "InvalidArgument"
  ],
  ["no processors", () => payload.elf(payload.spin), { cpus: 0 }, "InvalidArgument"],
  ["too many processors", () => payload.elf(payload.spin), { cpus: 65 }, "InvalidArgument"]
]

for (const [name, kernel, changes, status] of failures)
  onKvm(`${name} is refused as ${status}`, () =>
    Effect.gen(function* () {
      const native = yield* Native.Native
      const result = yield* Effect.either(native.boot(plan(kernel(), changes)))
      expect(Either.isLeft(result) && result.left.status).toBe(status as NativeError["status"])
    })
  )

onKvm("200 launches and kills leave no descriptor, thread or mapping behind", () =>
  Effect.gen(function* () {
    const image = imageFile(1024 * 1024)
    const disks = [disk(image), disk(image, { readOnly: true }), disk(image, { ephemeral: true })]
    const round = Effect.scoped(Effect.flatMap(boot(payload.halt, { disks }), (machine) => machine.kill))
    yield* round
    const before = yield* settled
    yield* Effect.repeatN(round, 199)
    yield* givenBack(before)
  })
)
