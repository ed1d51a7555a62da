/** Boots Debian's own programs, without systemd, from a disk that is made here without root, and tries one of them. */
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Apt, Cache, GuestAgent, GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as capsa from "capsa/promise"
import * as Effect from "effect/Effect"

const packages = ["base-files", "bash", "coreutils"] as const

/** The files of the packages, and capsa's agent as the first process. */
const furnish = async (root: string, agent: string) => {
  // The distribution has its programs below /usr, and no more than links beside it.
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (!(await readdir(root)).includes(name)) await symlink(`usr/${name}`, join(root, name))
  }
  for (const name of ["dev", "proc", "run", "sys", "tmp"]) await mkdir(join(root, name), { recursive: true })
  await Bun.write(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n")
  await symlink("bash", join(root, "bin/sh"))
  await cp(agent, join(root, "sbin/init"))
}

/** An ext4 file system of what is in a folder. */
const makeDisk = async (root: string, disk: string) => {
  const env = { ...Bun.env, PATH: `${Bun.env["PATH"]}:/usr/sbin:/sbin` }
  const made = Bun.spawn(["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root, disk, "256M"], { env })
  if ((await made.exited) !== 0) throw new Error("mke2fs failed")
}

/** The disk, which is made when it is asked for first and kept in capsa's cache. */
const image = Effect.gen(function* () {
  const agent = yield* GuestAgent.agent
  const all = yield* Apt.closure(packages)
  const inputs = [...Object.values(agent.provenance), ...all.map(Apt.identity)]
  const folder = yield* Cache.entry("example-distro", inputs, (folder) =>
    Effect.gen(function* () {
      const root = yield* Effect.promise(() => mkdtemp(join(tmpdir(), "distro-")))
      yield* Apt.unpack(all, root)
      yield* Effect.promise(() => furnish(root, agent.program))
      yield* Effect.promise(() => makeDisk(root, join(folder, "disk")))
      yield* Effect.promise(() => rm(root, { recursive: true }))
    })
  )
  return join(folder, "disk")
})

const { disk, kernel } = await Effect.runPromise(
  Effect.all({ disk: image, kernel: Effect.map(GuestImages.tiny, ({ bzImage }) => bzImage) }).pipe(
    Effect.provide(BunContext.layer)
  )
)

await using sandbox = await capsa.sandbox({
  memory: "256MiB",
  boot: { kernel, cmdline: "root=/dev/vda rw" },
  // What the guest writes is gone with it, so that all start from the same.
  disks: [{ path: disk, ephemeral: true }]
})
const { stdout } = await sandbox.exec(
  '. /etc/os-release; echo "$ID on $(stat -f -c %T /): $(printf "1.10\\n1.9\\n" | sort -V | head -n 1) comes first"'
)
await Bun.write(Bun.stdout, stdout)
