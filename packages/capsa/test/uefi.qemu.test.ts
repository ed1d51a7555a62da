/** Systems that UEFI firmware starts from a disk, on QEMU, and the file that keeps the firmware's variables. */
import { describe, expect } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, ConsoleError, type VmConfig } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { Qemu } from "@capsa/qemu"
import { givenBack, live, settled } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Sandbox from "../src/Sandbox.ts"
import * as Vm from "../src/Vm.ts"

const backend = Qemu.layer()
const { uefi } = (await Effect.runPromise(Effect.provide(Backend, backend))).capabilities.features
const lack = uefi.supported ? undefined : uefi.reason
const { disk } = await Effect.runPromise(Effect.provide(GuestImages.uefi, BunContext.layer))

/** Emulators are slow: firmware and kernel take half a minute on a busy host. */
const timeout = "4 minutes"
const testMs = 900_000
const prompt = "capsa# "

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-uefi-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

const test = (name: string, body: (folder: string) => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
  live.skipIf(lack !== undefined)(
    lack === undefined ? name : `${name} — skipped: ${lack}`,
    () => Effect.flatMap(folder, body).pipe(Effect.tapError(showConsole), Effect.provide(backend)),
    testMs
  )

const configOf = (variables?: string) =>
  ({
    boot: { firmware: "uefi", ...(variables === undefined ? {} : { variables }) },
    memory: "256MiB",
    disks: [{ path: disk, ephemeral: true }]
  }) as const satisfies VmConfig

/** A machine at its prompt, with the firmware's variables to be seen. */
const booted = Effect.fnUntraced(function* (variables?: string) {
  const vm = yield* Vm.launch(configOf(variables))
  yield* vm.console.expect(prompt, { timeout })
  yield* done(vm, "dmesg -n 1; mount -t efivarfs none /sys/firmware/efi/efivars")
  return vm
})

const run = ({ console }: Vm.Vm, command: string) => console.run(command, { prompt, timeout })
const done = (vm: Vm.Vm, command: string) =>
  Effect.map(run(vm, command), ({ exitCode, output }) => {
    expect({ command, output, exitCode }).toMatchObject({ exitCode: 0 })
    return output.trim()
  })

const variable = "/sys/firmware/efi/efivars/CapsaTest-5e0b7f1c-3d7a-4a55-9a53-0c6f8c1b2d3e"
/** Kept without power, for boot loaders and systems. */
const attributes = "\\007\\000\\000\\000"

describe("UEFI firmware", () => {
  test("starts the system on a disk, speaks on its console, and the power button ends it", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({ ...configOf(), readyTimeout: timeout })
      yield* vm.console.expect(prompt, { timeout })
      const said = Buffer.from(yield* vm.console.history).toString()
      expect(said).toContain("BdsDxe: starting Boot")
      expect(said).toContain("EFI stub")
      expect(said.indexOf("BdsDxe")).toBeLessThan(said.indexOf("Linux version"))
      expect((yield* vm.stages).map(({ name }) => name)).toEqual(["created", "loaded", "started", "kernel", "init"])
      expect(yield* vm.stop({ grace: "1 minute" })).toEqual({ _tag: "PowerOff" })
    }))

  test("keeps its variables in the file that is named, which nobody else may use meanwhile", (folder) =>
    Effect.gen(function* () {
      const variables = join(folder, "variables")
      const first = Effect.gen(function* () {
        const vm = yield* booted(variables)
        yield* done(vm, `printf '${attributes}kept' >${variable}`)
        const before = yield* settled
        expect(yield* Effect.flip(Effect.scoped(Vm.launch(configOf(variables))))).toMatchObject({
          _tag: "VmBootError",
          reason: "VariablesInUse",
          field: "boot.variables",
          subject: variables
        })
        yield* givenBack(before)
        expect(yield* vm.stop({ grace: "1 minute" })).toEqual({ _tag: "PowerOff" })
      })
      yield* Effect.scoped(first)
      const { ino, mode } = statSync(variables)
      expect(mode & 0o777).toBe(0o600)
      expect(readdirSync(folder)).toEqual(["variables"])
      expect(yield* done(yield* booted(variables), `tail -c 4 ${variable}`)).toBe("kept")
      expect(statSync(variables).ino).toBe(ino)
    }))

  test("loses its variables where no file is named", () =>
    Effect.gen(function* () {
      const written = Effect.flatMap(booted(), (vm) => done(vm, `printf '${attributes}lost' >${variable}`))
      yield* Effect.scoped(written)
      expect((yield* run(yield* booted(), `test -e ${variable}`)).exitCode).toBe(1)
    }))

  test("is there for an agent on the disk, too", () =>
    Effect.gen(function* () {
      const sandbox = yield* Sandbox.launch({ ...configOf(), readyTimeout: timeout })
      const { exitCode, stdout } = yield* sandbox.exec(["ls", "/sys/firmware"])
      expect({ exitCode, stdout }).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("efi") })
    }))

  test("does not take a file of variables of another size, and leaves it as it is", (folder) =>
    Effect.gen(function* () {
      const variables = join(folder, "variables")
      writeFileSync(variables, "precious")
      yield* Effect.scoped(Effect.ignore(Vm.launch(configOf(variables))))
      const before = yield* settled
      expect(yield* Effect.flip(Effect.scoped(Vm.launch(configOf(variables))))).toMatchObject({
        _tag: "VmBootError",
        reason: "FirmwareUnavailable",
        field: "boot.variables",
        subject: variables,
        message: expect.stringContaining("8 bytes")
      })
      yield* givenBack(before)
      expect(readFileSync(variables, "utf8")).toBe("precious")
      expect(readdirSync(folder)).toEqual(["variables"])
    }))
})

live("without firmware, the launch says what to do, and makes no file of variables", () =>
  Effect.gen(function* () {
    const at = yield* folder
    const without = Qemu.layer({ firmware: { code: join(at, "code"), variables: join(at, "vars") } })
    const refused = Vm.launch(configOf(join(at, "new"))).pipe(Effect.scoped, Effect.provide(without), Effect.flip)
    expect(yield* refused).toMatchObject({
      _tag: "VmConfigError",
      reason: "Unsupported",
      problems: [{ path: "boot.firmware", hint: expect.stringContaining("Qemu.layer") }]
    })
    expect(readdirSync(at)).toEqual([])
  })
)
