/**
 * Runs in the lab: fio in the same guest on capsa and on QEMU, on a second disk. Prints what a request took, in microseconds.
 *
 * Arguments: kernel, toolbox, and whom to boot, in that order.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Kvm } from "capsa"
import * as Effect from "effect/Effect"
import { type Machine, type Run, withCapsa, withQemu } from "../lab/guests.ts"
import { folder, inMemory, qemuInMemory } from "../lab/memory.ts"
import { alive, bootAll } from "../lab/samples.ts"

const [kernelFile = "", toolbox = "", ...order] = process.argv.slice(2)

const imageMib = 64

const kib = 1
const mib = 1024

/** Each moves so many MiB in requests of so many KiB. */
const cases = [
  { name: "read 4 KiB at random, 1 request at a time", rw: "randread", block: 4 * kib, depth: 1, move: 2 },
  { name: "read 4 KiB at random, 32 requests at a time", rw: "randread", block: 4 * kib, depth: 32, move: 4 },
  { name: "write 4 KiB at random, 1 request at a time", rw: "randwrite", block: 4 * kib, depth: 1, move: 2 },
  { name: "write 4 KiB at random, 32 requests at a time", rw: "randwrite", block: 4 * kib, depth: 32, move: 4 },
  { name: "write 4 KiB at random and flush", rw: "randwrite --fdatasync=1", block: 4 * kib, depth: 1, move: 1 },
  { name: "read 1 MiB in sequence, 4 requests at a time", rw: "read", block: mib, depth: 4, move: imageMib },
  { name: "write 1 MiB in sequence, 4 requests at a time", rw: "write", block: mib, depth: 4, move: imageMib }
]

/** Of fio's terse output: milliseconds of reading and of writing. */
const runtimes = "--output-format=terse --terse-version=3 | cut -d ';' -f 9,50"

const target = "--name=disk --filename=/dev/vdb --direct=1 --ioengine=io_uring --thread --randseed=1"

const microseconds = (run: Run) =>
  Effect.gen(function* () {
    const taken: Record<string, number> = {}
    for (const { name, rw, block, depth, move } of cases) {
      const job = `--rw=${rw} --bs=${block}k --iodepth=${depth} --size=${imageMib}m --io_size=${move}m`
      const output = yield* run(`cd /tmp; fio ${target} ${job} ${runtimes}`)
      const [, read, written] = /(\d+);(\d+)/.exec(output) ?? []
      yield* alive
      taken[name] = ((Number(read) + Number(written)) * 1000) / ((move * mib) / block)
    }
    return taken
  })

await Effect.runPromise(alive)
const parts = { kernel: inMemory(kernelFile), toolbox: inMemory(toolbox) }
const command = qemuInMemory()
const image = join(folder, "disk.img")
writeFileSync(image, Buffer.alloc(imageMib * 1024 * 1024, "capsa"))

const qemu = (machine: Machine) =>
  withQemu(
    parts,
    { command, machine },
    (bus) => [
      ...["-drive", `id=target,if=none,format=raw,file=${image},cache=writeback,aio=io_uring`],
      ...["-device", `virtio-blk-${bus},drive=target`]
    ],
    microseconds
  )

const capsa = Effect.provide(withCapsa(parts, { disks: [{ path: image }] }, microseconds), Kvm.layer)

await Effect.runPromise(bootAll(order, { capsa, "QEMU microvm": qemu("microvm"), "QEMU q35": qemu("q35") }))
