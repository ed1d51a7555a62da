/** What every machine does: come up, speak, and end. */
import type { VmExit } from "@capsa/core"
import { Vm, VmPool } from "capsa"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { booted, type Case, done, prompt, refused, type Setting, same } from "./Case.ts"

/** Types a line that ends the machine. */
const endsBy = (line: string, wanted: VmExit["_tag"]): Case["prove"] =>
  Effect.fnUntraced(function* (setting: Setting) {
    const vm = yield* booted(setting)
    yield* vm.console.writeLine(line)
    const { _tag } = yield* Effect.timeout(vm.wait, setting.guest.patience)
    yield* same("the exit", _tag, wanted)
  })

export const machines: ReadonlyArray<Case> = [
  { name: "power-off is a PowerOff", prove: endsBy("poweroff -f", "PowerOff") },
  { name: "a restart is a Reboot", prove: endsBy("reboot -f", "Reboot") },
  { name: "a kernel panic is a Panic", prove: endsBy("echo c > /proc/sysrq-trigger", "Panic") },
  {
    name: "kill is a Killed, told to all who wait",
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting)
      const [, ...exits] = yield* Effect.all([vm.kill, vm.wait, vm.wait], { concurrency: "unbounded" })
      yield* same("the exits", exits, [{ _tag: "Killed" }, { _tag: "Killed" }])
    })
  },
  {
    name: "one machine after another, and two at a time",
    prove: Effect.fnUntraced(function* (setting) {
      yield* Effect.scoped(booted(setting))
      const two = yield* Effect.all([booted(setting), booted(setting)], { concurrency: 2 })
      yield* Effect.forEach(two, ({ console }) => console.writeLine("poweroff -f"))
      yield* Effect.timeout(Effect.all(two.map(({ wait }) => wait)), setting.guest.patience)
    })
  },
  {
    name: "has its processors, reaches its stages in order, and says each thing once",
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting, { cpus: 4 })
      const names = (yield* vm.stages).map(({ name }) => name)
      yield* same("the stages", names, ["created", "loaded", "started", "kernel", "init"])
      yield* vm.console.writeLine("nproc")
      yield* vm.console.expect(/\b4\r?\n.*capsa# /s, { timeout: setting.guest.patience })
      yield* vm.console.writeLine("echo mark-8273")
      yield* vm.console.expect(/mark-8273.*mark-8273.*capsa# /s, { timeout: setting.guest.patience })
      const said = Buffer.from(yield* vm.console.history).toString()
      // Once as it is typed, once by echo.
      yield* same("how often", said.split("mark-8273").length - 1, 2)
    })
  },
  {
    name: "runs thirty commands, short and long, with subshells and pipes, and Ctrl-C ends one of them, not the shell",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting)
      for (let index = 0; index < 30; index++) {
        const lines = (index % 3) * 25 + 1
        const output = yield* done(setting, vm, `(seq ${lines} | while read n; do echo "$n-${index}"; done) | cat`)
        const wanted = Array.from({ length: lines }, (_, line) => `${line + 1}-${index}`)
        yield* same("the output", output.split(/\r?\n/), wanted)
      }
      yield* vm.console.writeLine("echo be''gun; sleep 1000")
      yield* vm.console.expect("begun", { timeout: setting.guest.patience })
      yield* vm.console.interrupt
      yield* vm.console.expect(prompt, { timeout: setting.guest.patience })
      yield* same("the answer", yield* done(setting, vm, "echo alive"), "alive")
    })
  },
  {
    name: "a pool lends machines that work, no more than it has, and new ones for used ones",
    prove: Effect.fnUntraced(function* (setting) {
      const pool = yield* VmPool.make({
        config: { boot: setting.boot, memory: "256MiB" },
        min: 1,
        max: 2,
        ready: ({ console }) => console.expect(prompt, { timeout: setting.guest.patience })
      })
      const lent = yield* Effect.scoped(
        Effect.gen(function* () {
          const both = yield* Effect.all([pool.acquire, pool.acquire], { concurrency: 2 })
          yield* Effect.forEach(both, ({ console }) => console.writeLine("echo lent"))
          yield* Effect.forEach(both, ({ console }) => console.expect("lent", { timeout: setting.guest.patience }))
          yield* same("a third", Option.isNone(yield* pool.tryAcquire), true)
          return both.map(({ id }) => id)
        })
      )
      const { id } = yield* Effect.timeout(pool.acquire, setting.guest.patience)
      yield* same("one that was used", lent.includes(id), false)
    })
  },
  {
    name: "more processors than it can have are refused",
    claim: "maxCpus",
    prove: ({ boot, capabilities: { maxCpus } }) =>
      Effect.flatMap(refused("one processor too many", Vm.launch({ boot, cpus: maxCpus + 1 })), ({ reason }) =>
        same("the reason", reason, "Unsupported")
      )
  },
  {
    name: "more memory than it can have is refused",
    claim: "maxMemoryMib",
    prove: ({ boot, capabilities: { maxMemoryMib } }) =>
      Effect.flatMap(refused("too much memory", Vm.launch({ boot, memory: maxMemoryMib + 1 })), ({ reason }) =>
        same("the reason", reason, "Unsupported")
      )
  },
  {
    name: "a paused machine says nothing, and goes on where it was",
    claim: "pause",
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting)
      yield* vm.pause
      yield* vm.console.writeLine("echo mark-5511")
      yield* refused("speech of a paused machine", vm.console.expect("mark-5511", { timeout: "500 millis" }))
      yield* vm.resume
      yield* vm.console.expect("mark-5511", { timeout: setting.guest.patience })
    })
  },
  {
    name: "the power button is heard",
    claim: "powerButton",
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting)
      yield* same("the exit", (yield* vm.stop({ grace: setting.guest.patience }))._tag, "PowerOff")
    })
  },
  {
    name: "the guest has a device that tells of panics",
    claim: "panicNotifier",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting)
      yield* done(setting, vm, "grep -q QEMU0001 /sys/bus/acpi/devices/*/hid /sys/bus/platform/devices/*/modalias")
    })
  }
]
