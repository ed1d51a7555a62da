/** A balloon on a real machine: what a guest has used and freed goes back to the host. */
import { describe, expect } from "bun:test"
import type { Backend, DirectBoot, MachineStats } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { live } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Vm as Machine } from "../src/Vm.ts"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick } from "./fixtures/realBackend.ts"

const debian = await Effect.runPromise(Effect.provide(GuestImages.debian, BunContext.layer))

const mib = 1024 * 1024
const { balloon } = capabilities.features
const cause = balloon.supported ? "" : ` — skipped: ${backendName} has no balloons: ${balloon.reason}`

const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
  live.skipIf(!balloon.supported)(`${name}${cause}`, () => Effect.provide(body(), backend), 600_000)

const booted = Effect.fnUntraced(function* (boot: DirectBoot) {
  const vm = yield* Vm.launch({ boot, memory: "2GiB", balloon: true })
  yield* vm.console.expect("capsa# ", { timeout: "3 minutes" })
  return vm
})

const run = (vm: Machine, command: string) =>
  Effect.filterOrFail(vm.console.run(command, { timeout: "3 minutes" }), ({ exitCode }) => exitCode === 0)

/** The first stats of which `wanted` holds; asked for again and again, as the guest takes its time. */
const statsWhen = (vm: Machine, wanted: (stats: MachineStats) => boolean) =>
  Effect.timeout(Effect.repeat(Effect.delay(vm.stats, "500 millis"), { until: wanted }), "4 minutes")

const resident = ({ residentBytes = 0 }: MachineStats) => residentBytes

describe(`a balloon on ${backendName}`, () => {
  test("memory that a guest has freed goes back to the host", () =>
    Effect.gen(function* () {
      const vm = yield* booted(quick)
      yield* run(vm, "mount -o remount,size=1100m /tmp")
      const before = resident(yield* vm.stats)
      yield* run(vm, "dd if=/dev/zero of=/tmp/file bs=1M count=1024")
      const used = resident(yield* vm.stats)
      expect(used - before).toBeGreaterThan(1000 * mib)
      yield* run(vm, "rm /tmp/file && echo 3 > /proc/sys/vm/drop_caches")
      const after = yield* statsWhen(vm, (stats) => resident(stats) <= used - 900 * mib)
      if (backendName === "kvm") expect(after.balloon?.reportedBytes).toBeGreaterThanOrEqual(900 * mib)
      expect(after.balloon?.heldBytes).toBe(0)
      // And the guest can have it again.
      yield* run(vm, "dd if=/dev/zero of=/tmp/file bs=1M count=1024")
      expect(resident(yield* vm.stats) - before).toBeGreaterThan(1000 * mib)
    }))

  for (const [name, boot] of [
    ["our own kernel", quick],
    ["the distribution's kernel", { ...quick, kernel: debian.kernel, initrd: debian.initrd }]
  ] as const) {
    test(`${name} tells how much memory it has left`, () =>
      Effect.gen(function* () {
        const vm = yield* booted(boot)
        const { guestMemory } = yield* statsWhen(vm, ({ guestMemory }) => guestMemory !== undefined)
        const { totalBytes = 0, freeBytes = 0, availableBytes = 0 } = guestMemory ?? {}
        expect(totalBytes).toBeGreaterThan(1800 * mib)
        expect(totalBytes).toBeLessThanOrEqual(2048 * mib)
        expect(availableBytes).toBeLessThan(totalBytes)
        // What it says follows what it does.
        yield* run(vm, "dd if=/dev/zero of=/tmp/file bs=1M count=256")
        yield* statsWhen(vm, (stats) => (stats.guestMemory?.freeBytes ?? freeBytes) < freeBytes - 200 * mib)
      }))
  }
})
