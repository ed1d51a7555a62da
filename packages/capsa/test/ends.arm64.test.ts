/**
 * How machines of arm64 end, with one processor and with several, and that nothing is left of them. What it runs on
 * (interrupt controller, processor) is the lab's affair.
 */
import { describe, expect } from "bun:test"
import { type Backend, ConsoleError, type VmConfig } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { Kvm } from "@capsa/kvm"
import { givenBack, live, settled } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Vm from "../src/Vm.ts"
import { quick } from "./fixtures/realBackend.ts"

const { initrd, kernel } = await Effect.runPromise(Effect.provide(GuestImages.debian, BunContext.layer))

const timeout = "4 minutes"
const rounds = 50

/** Its kernel's own words cost the emulated host more than the rest of its boot. */
const cmdline = "quiet"
const guests = {
  tiny: { ...quick, cmdline },
  debian: { kernel, initrd, cmdline }
} as const satisfies Record<string, VmConfig["boot"]>

const test = (name: string, body: Effect.Effect<unknown, unknown, Backend | Scope.Scope>, timeoutMs = 900_000) =>
  live(name, () => body.pipe(Effect.tapError(showConsole), Effect.provide(Kvm.layer)), timeoutMs)

/** What the guest said last is the first thing to look at. */
const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

const booted = Effect.fnUntraced(function* (boot: VmConfig["boot"], cpus: number) {
  const vm = yield* Vm.launch({ boot, cpus, memory: "192MiB" })
  yield* vm.console.expect("capsa# ", { timeout })
  yield* vm.console.writeLine("echo cpus=$(nproc)")
  const { match } = yield* vm.console.expect(/cpus=(\d+)\r?\n/, { timeout })
  expect(match[1]).toBe(String(cpus))
  return vm
})

for (const [name, boot] of Object.entries(guests)) {
  for (const cpus of [1, 4]) {
    describe(`the ${name} kernel on ${cpus} processors`, () => {
      for (const [command, exit] of [
        ["reboot -f", { _tag: "Reboot" }],
        ["echo c > /proc/sysrq-trigger", { _tag: "Panic", message: "sysrq triggered crash" }]
      ] as const) {
        test(
          `${command}: ${exit._tag}`,
          Effect.gen(function* () {
            const vm = yield* booted(boot, cpus)
            yield* vm.console.writeLine(command)
            expect(yield* Effect.timeout(vm.wait, timeout)).toEqual(exit)
          })
        )
      }

      test(
        "stop: the guest obeys the power button, with all processors busy",
        Effect.gen(function* () {
          const vm = yield* booted(boot, cpus)
          yield* vm.console.writeLine("for i in $(seq $(nproc)); do while :; do :; done & done; echo b''usy")
          yield* vm.console.expect("busy", { timeout })
          expect(yield* vm.stop({ grace: timeout })).toEqual({ _tag: "PowerOff" })
        })
      )
    })
  }
}

test(
  "kill: Killed, whatever the guest does",
  Effect.gen(function* () {
    const vm = yield* booted(guests.tiny, 4)
    yield* vm.console.writeLine("while :; do :; done")
    expect(yield* vm.kill).toEqual({ _tag: "Killed" })
  })
)

test(
  `${rounds} launches and kills leave no descriptor, thread or mapping behind`,
  Effect.gen(function* () {
    const round = (cpus: number) =>
      Effect.scoped(
        Vm.launch({ boot: quick, cpus, memory: 64 }).pipe(
          Effect.tap((vm) => vm.console.expect("Linux version", { timeout })),
          Effect.flatMap((vm) => vm.kill)
        )
      )
    yield* round(4)
    const before = yield* settled
    for (let index = 0; index < rounds; index++) expect(yield* round(1 + (index % 4))).toEqual({ _tag: "Killed" })
    yield* givenBack(before)
  }),
  1_800_000
)
