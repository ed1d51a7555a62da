/** What machines on KVM cost the host, and that they give it back. Runs where KVM runs guests on hardware: in the lab. */
import { describe, expect } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import type { VmConfig } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import { Kvm } from "@capsa/kvm"
import { givenBack, holdings, layer, settled } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Vm from "../src/Vm.ts"
import { freePort, freeUdpPort } from "./fixtures/ports.ts"

const { vmlinux, initrd } = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const boot = { kernel: vmlinux, initrd, console: "virtio" } as const

/** Figures that the acceptance of a release wants to see. */
const show = (what: string, figures: object) =>
  Effect.sync(() => void process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`))

const floodMiB = 200
const rounds = 200

/** Memory of this process alone, without what it shares with guests. */
const anonymousMiB = () => Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

/** Ports that somebody on this host has bound. */
const boundPorts = () =>
  ["tcp", "tcp6", "udp", "udp6"].flatMap((protocol) =>
    [...readFileSync(`/proc/net/${protocol}`, "utf8").matchAll(/^ *\d+: \S+:([\dA-F]{4}) \S+ (?:0A|07) /gm)].map(
      ([, port]) => `${protocol} ${Number.parseInt(port ?? "", 16)}`
    )
  )

const leavesNothing = (devices: Pick<VmConfig, "network" | "vsock">) =>
  Effect.gen(function* () {
    const round = Effect.scoped(
      Vm.launch({ boot, memory: 64, ...devices }).pipe(
        Effect.tap((vm) => vm.console.expect("Linux version")),
        Effect.flatMap((vm) => vm.kill)
      )
    )
    expect(yield* round).toEqual({ _tag: "Killed" })
    const before = yield* settled
    const ports = boundPorts()
    yield* Effect.repeatN(round, rounds - 1)
    yield* show(`${rounds} launches and kills`, { before, after: holdings() })
    yield* givenBack(before)
    expect(boundPorts()).toEqual(ports)
  })

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
    `${rounds} launches and kills leave no descriptor, thread or mapping behind`,
    () => leavesNothing({}),
    1_200_000
  )

  it.live(
    `${rounds} launches and kills with a network and vsock leave no descriptor, thread, mapping or port behind`,
    () =>
      Effect.gen(function* () {
        const [tcp, udp] = [freePort(), yield* freeUdpPort()]
        yield* leavesNothing({
          network: {
            mode: "user",
            forwards: [
              { host: tcp, guest: 80 },
              { host: udp, guest: 80, protocol: "udp" }
            ]
          },
          vsock: true
        })
        expect(freePort(tcp)).toBe(tcp)
        expect(yield* freeUdpPort(udp)).toBe(udp)
      }),
    1_200_000
  )
})

/** Seconds over which an idle process is watched. */
const watched = 20

/** The threads of a process that are ours, by number. */
const ownThreads = (pid: number) =>
  readdirSync(`/proc/${pid}/task`).filter((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8").startsWith("capsa-")
  )

/** Processor time that some threads of a process have used, in seconds. */
const processorTime = (pid: number, threads: ReadonlyArray<string>) =>
  threads.reduce((sum, tid) => {
    const fields = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return sum + (Number(fields[11]) + Number(fields[12])) / 100
  }, 0)

/** System calls by name and count that some threads make over the time watched. */
const systemCalls = async (threads: ReadonlyArray<string>): Promise<Record<string, number>> => {
  const targets = threads.flatMap((tid) => ["-p", tid])
  const command = ["timeout", "-s", "INT", String(watched), "strace", "-c", "-U", "calls,name", ...targets]
  const strace = Bun.spawn(command, { stderr: "pipe", stdout: "ignore" })
  const table = await new Response(strace.stderr).text()
  const rows = [...table.matchAll(/^\s+(\d+)\s+(\w+)$/gm)].map(([, calls, name]) => [name, Number(calls)] as const)
  return Object.fromEntries(
    rows.flatMap(([name, count]) => (name === undefined || name === "total" ? [] : [[name, count]]))
  )
}

/**
 * What a request of the guest for entropy costs: the notification wakes a worker (write, epoll_wait, read), which asks
 * the kernel (getrandom) and interrupts the guest (ioctl), whose vCPU runs on (ioctl). A timer costs no more.
 */
const callsPerEvent = 6

const timerCalls = /nanosleep|timer|alarm|select|^p?poll/

/** Waits for the line; others are what the library logs, as when the process before has left something behind. */
const sayingIdle = async (output: ReadableStream<Uint8Array>) => {
  const reader = output.getReader()
  const decoder = new TextDecoder()
  for (let text = ""; !/^idle$/m.test(text); ) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`the holder has ended: ${text}`)
    text += decoder.decode(value, { stream: true })
  }
}

describe("an idle machine on KVM", () => {
  layer(Kvm.layer)("in a process of its own", (it) => {
    for (const [name, hertz, ...words] of [
      ["rests: the monitor's threads make no system call but for the guest's, and no timer of theirs fires", 0],
      ["rests with a network and vsock: no timer fires more often than once a second", 1, "connected"]
    ] as const) {
      it.live(
        name,
        () =>
          Effect.gen(function* () {
            const program = [`${import.meta.dir}/fixtures/idle.ts`, vmlinux, initrd, ...words]
            const holder = yield* Effect.acquireRelease(
              Effect.sync(() => Bun.spawn([process.execPath, ...program], { stdout: "pipe" })),
              (holder) =>
                Effect.promise(() => {
                  holder.kill()
                  return holder.exited
                })
            )
            yield* Effect.promise(() => sayingIdle(holder.stdout))
            const threads = ownThreads(holder.pid)
            expect(threads.length).toBeGreaterThan(0)
            const before = processorTime(holder.pid, threads)
            const calls = yield* Effect.promise(() => systemCalls(threads))
            const share = (processorTime(holder.pid, threads) - before) / watched
            yield* show(`idle for ${watched} s`, { threads: threads.length, share, calls })
            // Time in an emulated processor proves nothing, so the share is shown only. Being traced wakes a thread
            // once; Linux renews its entropy from virtio-rng every few seconds, and now and then says something to IPv6
            // neighbours, for which there is room in what timers may take.
            const { getrandom: requests = 0, epoll_wait: wakes = 0 } = calls
            const total = Object.values(calls).reduce((sum, count) => sum + count, 0)
            const events = requests + hertz * watched
            expect(wakes).toBeLessThanOrEqual(threads.length + events)
            expect(total).toBeLessThanOrEqual(threads.length + callsPerEvent * events)
            const timers = Object.entries(calls).filter(([call]) => timerCalls.test(call))
            expect(timers.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(hertz * watched)
          }),
        300_000
      )
    }
  })
})
