/**
 * Runs in the lab: the same guest walks, reads, copies and removes small files of a shared folder on capsa and on QEMU with
 * virtiofsd. Prints what a file took, in microseconds.
 *
 * Arguments: kernel, toolbox, and whom to boot, in that order.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Kvm } from "capsa"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type Run, withCapsa, withQemu } from "../lab/guests.ts"
import { folder, inMemory, programInMemory, qemuInMemory } from "../lab/memory.ts"
import { alive, bootAll } from "../lab/samples.ts"

const [kernelFile = "", toolbox = "", ...order] = process.argv.slice(2)

const folders = 5
const filesInFolder = 100
const fileBytesMax = 8192

const tree = join(folder, "tree")

const makeTree = () => {
  for (let number = 0; number < folders; number++) {
    const inner = join(tree, `folder${number}`)
    mkdirSync(inner, { recursive: true })
    for (let file = 0; file < filesInFolder; file++)
      writeFileSync(join(inner, `file${file}`), Buffer.alloc(1 + ((file * 613) % fileBytesMax), "capsa"))
  }
}

const cases = [
  { name: "walk a tree, of a file", command: "find /mnt -printf '%s '", files: folders * filesInFolder },
  { name: "read a tree, of a file", command: "tar -cf - -C /mnt .", files: folders * filesInFolder },
  { name: "read it again, of a file", command: "tar -cf - -C /mnt .", files: folders * filesInFolder },
  { name: "copy a folder within it, of a file", command: "cp -r /mnt/folder0 /mnt/copy", files: filesInFolder },
  { name: "remove that copy, of a file", command: "rm -r /mnt/copy", files: filesInFolder }
]

const stopwatch = `timed() { s=$EPOCHREALTIME; "$@" | cat >/dev/null; e=$EPOCHREALTIME; echo "took $((\${e/./} - \${s/./}))"; }`

const microseconds = (run: Run) =>
  Effect.gen(function* () {
    // The programs are in memory before their use is timed.
    yield* run(`${stopwatch}; mount -t virtiofs tree /mnt; for program in find tar cp rm; do $program --version; done`)
    const taken: Record<string, number> = {}
    for (const { name, command, files } of cases) {
      const [, whole] = /took (\d+)/.exec(yield* run(`timed ${command}`)) ?? []
      yield* alive
      taken[name] = Number(whole) / files
    }
    return taken
  })

await Effect.runPromise(alive)
const parts = { kernel: inMemory(kernelFile), toolbox: inMemory(toolbox) }
const command = qemuInMemory()
const server = programInMemory("/usr/lib/qemu/virtiofsd")
makeTree()

const socket = join(folder, "virtiofsd.socket")

const virtiofsd = Effect.acquireRelease(
  Effect.sync(() => {
    rmSync(socket, { force: true })
    const options = [`--socket-path=${socket}`, "-o", `source=${tree},cache=auto`]
    return Bun.spawn([...server, ...options], { stdin: "ignore", stdout: "ignore", stderr: "ignore" })
  }),
  (child) => {
    child.kill("SIGKILL")
    return Effect.promise(() => child.exited)
  }
)

/** QEMU does not wait for the server's socket. */
const listening = Effect.tryPromise(() => Bun.file(socket).stat()).pipe(
  Effect.retry({ times: 1000, schedule: Schedule.spaced("10 millis") })
)

const qemu = Effect.scoped(
  Effect.gen(function* () {
    yield* virtiofsd
    yield* listening
    return yield* withQemu(
      parts,
      { command, machine: "microvm" },
      (bus) => [
        ...["-chardev", `socket,id=tree,path=${socket}`],
        ...["-device", `vhost-user-fs-${bus},chardev=tree,tag=tree`]
      ],
      microseconds
    )
  })
)

const shares = [{ host: tree, guest: "/mnt", mode: "rw", tag: "tree" }] as const

const capsa = Effect.provide(withCapsa(parts, { shares }, microseconds), Kvm.layer)

await Effect.runPromise(bootAll(order, { capsa, "QEMU, virtiofsd": qemu }))
