/**
 * Runs in the lab: the same guest moves bytes and asks questions over TCP on capsa and on QEMU, by each's user network, and
 * on capsa by vsock, too. Prints what a MiB and what a question took, in microseconds.
 *
 * Arguments: kernel, toolbox, and whom to boot, in that order.
 */
import { mkdirSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { Kvm } from "capsa"
import * as Effect from "effect/Effect"
import { type Run, withCapsa, withQemu } from "../lab/guests.ts"
import { folder, inMemory, qemuInMemory } from "../lab/memory.ts"
import { alive, bootAll } from "../lab/samples.ts"

const [kernelFile = "", toolbox = "", ...order] = process.argv.slice(2)

const port = 7000

const cases = [
  { name: "from the host, 1 MiB", what: "pull", number: 8 },
  { name: "to the host, 1 MiB", what: "push", number: 8 },
  { name: "a question and its answer", what: "ask", number: 500 }
]

const taken = (run: Run, by: string, target: string) =>
  Effect.gen(function* () {
    const taken: Record<string, number> = {}
    for (const { name, what, number } of cases) {
      const [, whole] = /took (\d+)/.exec(yield* run(`/tmp/peer ${target} ${what} ${number}`)) ?? []
      yield* alive
      taken[`${by}: ${name}`] = Number(whole) / number
    }
    return taken
  })

/** The program comes as the second disk. */
const fetched = (run: Run) => run("cat /dev/vdb >/tmp/peer; chmod +x /tmp/peer")

const overTcp = (run: Run) => Effect.zipRight(fetched(run), taken(run, "TCP", `tcp 10.0.2.2 ${port}`))

const peer = join(folder, "peer")

const compile = () => {
  mkdirSync(folder, { recursive: true })
  const { success } = Bun.spawnSync(["gcc", "-static", "-O2", "-o", peer, join(import.meta.dir, "peer.c")], {
    stderr: "inherit"
  })
  if (!success) throw new Error("the program for both ends does not compile")
  // A disk is made of sectors.
  truncateSync(peer, Math.ceil(Bun.file(peer).size / 512) * 512)
}

/** Until the scope closes, for whoever connects there. */
const served = (...words: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = Bun.spawn([peer, ...words], { stdin: "ignore", stdout: "pipe", stderr: "inherit" })
      await child.stdout.getReader().read()
      return child
    }),
    (child) => {
      child.kill("SIGKILL")
      return Effect.promise(() => child.exited)
    }
  )

await Effect.runPromise(alive)
const parts = { kernel: inMemory(kernelFile), toolbox: inMemory(toolbox) }
const command = qemuInMemory()
compile()
await Effect.runPromise(alive)

const program = [
  ...["-drive", `id=program,if=none,format=raw,file=${peer},read-only=on`],
  ...["-device", "virtio-blk-device,drive=program"]
]

const qemu = withQemu(
  parts,
  { command, machine: "microvm" },
  () => [...program, "-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"],
  overTcp
)

const network = { mode: "user", policy: "open" } as const

const capsa = withCapsa(parts, { disks: [{ path: peer, readOnly: true }], network, vsock: true }, (run, vm) =>
  Effect.scoped(
    Effect.gen(function* () {
      const tcp = yield* overTcp(run)
      yield* served("serve-unix", `${vm.vsock.path}_${port}`)
      return { ...tcp, ...(yield* taken(run, "vsock", `vsock 2 ${port}`)) }
    })
  )
).pipe(Effect.provide(Kvm.layer))

const sides = { capsa, "QEMU microvm": qemu }

await Effect.runPromise(Effect.scoped(Effect.zipRight(served("serve-tcp", String(port)), bootAll(order, sides))))
