/**
 * The same guest on capsa and on QEMU, for what is measured inside it: the tiny kernel, the toolbox as its first disk, one
 * processor, a shell on the serial console. Runs in the lab.
 */
import type { VmConfig } from "@capsa/core"
import { Vm } from "capsa"
import * as Effect from "effect/Effect"

const prompt = "capsa# "
const parameters = "quiet loglevel=1 reboot=t tsc=reliable"
const memoryMib = 256

/**
 * A guest that takes longer was lost (docs/TESTING.md, the lab). Some spin, and then a second of virtual time takes many of
 * real time.
 */
const bootPatience = "3 seconds"
const patience = "2 seconds"

/** Runs a command and gives what it prints. */
export type Run = (command: string) => Effect.Effect<string, unknown>

export interface Parts {
  readonly kernel: string
  readonly toolbox: string
}

export const withCapsa = <A>(
  { kernel, toolbox }: Parts,
  { disks = [], ...devices }: Partial<Pick<VmConfig, "disks" | "network" | "shares" | "vsock">>,
  use: (run: Run, vm: Vm.Vm) => Effect.Effect<A, unknown>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const vm = yield* Vm.launch({
        boot: { kernel, cmdline: parameters },
        cpus: 1,
        memory: memoryMib,
        disks: [{ path: toolbox, readOnly: true }, ...disks],
        ...devices
      })
      yield* vm.console.expect(prompt, { timeout: bootPatience })
      return yield* use(
        (command) => vm.console.run(command, { prompt, timeout: patience }).pipe(Effect.map(({ output }) => output)),
        vm
      )
    })
  )

/** What stands between the shell's output and the next; it is not in the command that the terminal echoes. */
const mark = { typed: "@@''@@", printed: "@@@@" }

/** The output of a process, waited for piece by piece. */
const reader = (stream: ReadableStream<Uint8Array>) => {
  const pieces = stream.getReader()
  const decoder = new TextDecoder()
  let seen = ""
  /** What comes before the text. */
  return async (text: string) => {
    for (;;) {
      const at = seen.indexOf(text)
      if (at >= 0) {
        const before = seen.slice(0, at)
        seen = seen.slice(at + text.length)
        return before
      }
      const { value, done } = await pieces.read()
      if (done) throw new Error(`QEMU has ended: ${seen}`)
      seen += decoder.decode(value, { stream: true })
    }
  }
}

const started = (command: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" })),
    (child) => {
      child.kill("SIGKILL")
      return Effect.promise(() => child.exited)
    }
  )

export type Machine = "microvm" | "q35"

const machines = {
  microvm: "microvm,acpi=off,pit=off,pic=off,rtc=off,x-option-roms=off,isa-serial=on,memory-backend=ram",
  q35: "q35,memory-backend=ram"
}

/** What a device's name ends in. */
const buses = { microvm: "device", q35: "pci" }

export const withQemu = <A>(
  { kernel, toolbox }: Parts,
  { command, machine }: { readonly command: ReadonlyArray<string>; readonly machine: Machine },
  devices: (bus: string) => ReadonlyArray<string>,
  use: (run: Run) => Effect.Effect<A, unknown>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const child = yield* started([
        ...command,
        ...["-M", machines[machine]],
        ...["-global", "virtio-mmio.force-legacy=false"],
        ...["-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", `${memoryMib}M`],
        ...["-object", `memory-backend-memfd,id=ram,size=${memoryMib}M,share=on`],
        ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
        ...["-kernel", kernel, "-append", `console=ttyS0 ${parameters} root=/dev/vda ro`],
        ...["-drive", `id=root,if=none,format=raw,file=${toolbox},read-only=on`],
        ...["-device", `virtio-blk-${buses[machine]},drive=root`],
        ...devices(buses[machine])
      ])
      const until = reader(child.stdout)
      const waitFor = (text: string) => Effect.tryPromise(() => until(text))
      const type = (line: string) =>
        Effect.sync(() => {
          child.stdin.write(`${line}; echo ${mark.typed}\n`)
          child.stdin.flush()
        })
      const run: Run = (command) => Effect.zipRight(type(command), waitFor(mark.printed))
      yield* waitFor(prompt).pipe(Effect.timeout(bootPatience))
      yield* run("stty -echo; PS1=")
      return yield* use((command) => Effect.timeout(run(command), patience))
    })
  )
