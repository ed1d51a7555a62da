/**
 * Runs in the lab: boots the same guest with capsa and with QEMU in turn, and prints the samples of both as JSON. A round in
 * which either loses its guest is done again.
 *
 * Arguments: kernel, initrd, rounds. In the lab's virtual time, waiting for the host would count as time; so all
 * that both sides open is put into memory first.
 */
import * as BootPlan from "@capsa/core/BootPlan"
import { Kvm, Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { inMemory, qemuInMemory } from "../lab/memory.ts"
import { bootParameters, type Samples, type Sides } from "./samples.ts"

const [kernelFile = "", initrdFile = "", rounds = "10"] = process.argv.slice(2)

/** Rounds before those that count: code is compiled and pages are cached in them. */
const warmUpRounds = 20

/** A guest that takes longer was lost: the lab's emulated virtualisation loses some. */
const patienceMs = 2000

const kernel = inMemory(kernelFile)
const initrd = inMemory(initrdFile)

const config = { boot: { kernel, initrd, cmdline: bootParameters }, cpus: 1, memory: 128 }

const cmdline = Either.getOrThrow(BootPlan.commandLine(config, { capabilities: Kvm.capabilities }))

const qemuMachine = [
  ...["-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,x-option-roms=off,auto-kernel-cmdline=off,isa-serial=on"],
  ...["-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", "128M"],
  ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
  ...["-kernel", kernel, "-initrd", initrd, "-append", cmdline]
]

const bootQemu = async (command: ReadonlyArray<string>): Promise<Samples> => {
  const start = performance.now()
  const child = Bun.spawn([...command, ...qemuMachine], { stdin: "ignore", stdout: "pipe", stderr: "inherit" })
  const watchdog = setTimeout(() => child.kill("SIGKILL"), patienceMs)
  let output = ""
  let kernel = Number.NaN
  let init = Number.NaN
  for await (const chunk of child.stdout) {
    if (output === "") kernel = performance.now() - start
    output += new TextDecoder().decode(chunk)
    if (Number.isNaN(init) && output.includes("capsa: init")) init = performance.now() - start
  }
  await child.exited
  clearTimeout(watchdog)
  return { kernel, init, exit: child.signalCode === null ? performance.now() - start : Number.NaN }
}

const bootCapsa = Effect.scoped(
  Effect.gen(function* () {
    const start = performance.now()
    const vm = yield* Vm.launch(config)
    const end = yield* Effect.timeoutOption(vm.wait, patienceMs)
    const exit = Option.isSome(end) ? performance.now() - start : Number.NaN
    const stages = yield* vm.stages
    const at = (name: string) => stages.find((stage) => stage.name === name)?.atMs ?? Number.NaN
    return { kernel: at("kernel"), init: at("init"), exit } satisfies Samples
  })
)

const isWhole = (samples: Samples) => !Object.values(samples).some(Number.isNaN)

const program = Effect.gen(function* () {
  const command = qemuInMemory()
  yield* Effect.repeatN(bootCapsa, warmUpRounds)
  yield* Effect.promise(() => bootQemu(command))
  const capsa: Array<Samples> = []
  const qemu: Array<Samples> = []
  for (let round = 0; round < 2 * Number(rounds) && capsa.length < Number(rounds); round++) {
    const ours = yield* bootCapsa
    const theirs = yield* Effect.promise(() => bootQemu(command))
    if (!isWhole(ours) || !isWhole(theirs)) continue
    capsa.push(ours)
    qemu.push(theirs)
  }
  process.stdout.write(JSON.stringify({ capsa, qemu } satisfies Sides))
}).pipe(Effect.provide(Kvm.layer))

await Effect.runPromise(program)
