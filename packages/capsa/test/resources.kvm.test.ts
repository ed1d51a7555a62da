/** What machines on KVM cost the host, and that they give it back. Runs where KVM runs guests on hardware: in the lab. */
import { describe, expect } from "bun:test"
import { readFileSync } from "node:fs"
import { GuestImages } from "@capsa/guest"
import { Kvm } from "@capsa/kvm"
import { holdings, layer } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Vm from "../src/Vm.ts"

const { vmlinux, initrd } = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const boot = { kernel: vmlinux, initrd, console: "virtio" } as const

/** Figures that the acceptance of a release wants to see. */
const show = (what: string, figures: object) =>
  Effect.sync(() => void process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`))

const floodMiB = 200

/** Memory of this process alone, without what it shares with guests. */
const anonymousMiB = () => Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

layer(Kvm.layer)("a machine on KVM", (it) => {
  it.live(
    `writes ${floodMiB} MiB that nobody reads, and the host's memory stays flat`,
    () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch({ boot, memory: 128 })
        yield* vm.console.expect("capsa# ")
        const before = anonymousMiB()
        yield* vm.console.writeLine(
          `stty raw; dd if=/dev/zero of=/dev/console bs=64k count=${floodMiB * 16}; poweroff -f`
        )
        expect(yield* vm.wait).toEqual({ _tag: "PowerOff" })
        const { consoleBytes = 0 } = yield* vm.stats
        const history = (yield* vm.console.history).byteLength
        const grown = anonymousMiB() - before
        yield* show("flood", { writtenMiB: consoleBytes / 2 ** 20, grownMiB: grown, historyMiB: history / 2 ** 20 })
        expect(consoleBytes).toBeGreaterThanOrEqual(floodMiB * 2 ** 20)
        expect(history).toBeLessThanOrEqual(2 ** 20)
        expect(grown).toBeLessThan(64)
      }),
    1_200_000
  )

  it.live(
    "is killed while it writes without end",
    () =>
      Effect.gen(function* () {
        const vm = yield* Vm.launch({ boot, memory: 128 })
        yield* vm.console.expect("capsa# ")
        yield* vm.console.writeLine("yes >/dev/console")
        yield* vm.console.expect("y\r\ny\r\ny\r\n")
        expect(yield* vm.kill).toEqual({ _tag: "Killed" })
      }),
    300_000
  )

  it.live(
    "leaves no descriptor, thread or mapping behind, 200 times",
    () =>
      Effect.gen(function* () {
        const round = Effect.scoped(Effect.flatMap(Vm.launch({ boot, memory: 128 }), (vm) => vm.kill))
        yield* round
        const before = holdings()
        yield* Effect.repeatN(round, 199)
        const after = holdings()
        yield* show("200 launches and kills", { before, after })
        expect(after).toEqual(before)
      }),
    1_200_000
  )
})

/** Seconds over which an idle process is watched. */
const watched = 20

/** Processor time that a process has used, in seconds. */
const processorTime = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Waits until what starting up left behind, compiling and collecting garbage, is done: five seconds without work. */
const quiet = (pid: number) =>
  Effect.suspend(() => {
    const before = processorTime(pid)
    return Effect.map(Effect.sleep("5 seconds"), () => processorTime(pid) - before)
  }).pipe(Effect.repeat({ until: (spent) => spent <= 0.02, times: 40 }))

/** System calls by name and count, of all threads, over the time watched. */
const systemCalls = async (pid: number) => {
  const strace = Bun.spawn(
    ["timeout", "-s", "INT", String(watched), "strace", "-f", "-c", "-U", "calls,name", "-p", String(pid)],
    {
      stderr: "pipe",
      stdout: "ignore"
    }
  )
  const table = await new Response(strace.stderr).text()
  const rows = [...table.matchAll(/^\s+(\d+)\s+(\w+)$/gm)].map(([, calls, name]) => [name, Number(calls)] as const)
  return Object.fromEntries(rows.filter(([name]) => name !== "total"))
}

const timerCalls = /nanosleep|timer|alarm|poll|select|usleep/

describe("an idle machine on KVM", () => {
  layer(Kvm.layer)("in a process of its own", (it) => {
    it.live(
      "uses next to no processor time, and no timer fires",
      () =>
        Effect.gen(function* () {
          const holder = yield* Effect.acquireRelease(
            Effect.sync(() =>
              Bun.spawn([process.execPath, `${import.meta.dir}/fixtures/idle.ts`, vmlinux, initrd], { stdout: "pipe" })
            ),
            (holder) =>
              Effect.promise(() => {
                holder.kill()
                return holder.exited
              })
          )
          yield* Effect.promise(() => holder.stdout.getReader().read())
          yield* quiet(holder.pid)
          const before = processorTime(holder.pid)
          const calls = yield* Effect.promise(() => systemCalls(holder.pid))
          const share = (processorTime(holder.pid) - before) / watched
          yield* show(`idle for ${watched} s`, { share, calls })
          expect(share).toBeLessThan(0.005)
          expect(Object.keys(calls).filter((name) => timerCalls.test(name))).toEqual([])
        }),
      300_000
    )
  })
})
