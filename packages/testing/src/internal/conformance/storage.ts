/** Disks and shared folders. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { DiskConfig } from "@capsa/core"
import * as Effect from "effect/Effect"
import { qcow2 } from "../../qcow2.ts"
import { booted, type Case, done, refused, type Setting, same } from "./Case.ts"

const mib = 1024 * 1024

const pattern = Buffer.from(Uint8Array.from({ length: mib }, (_, index) => (index * 31 + (index >> 9)) % 251))

const image = ({ folder }: Setting, content: Uint8Array = pattern): string => {
  const path = join(folder, "disk.img")
  writeFileSync(path, content)
  return path
}

const withDisk = (setting: Setting, disk: DiskConfig) => booted(setting, { disks: [disk] })

/** Fills the first KiB with the letter x. */
const written = "head -c 1024 /dev/zero | tr '\\0' x | dd of=/dev/vda bs=512 conv=fsync"

const hashOf = (bytes: Uint8Array) => new Bun.CryptoHasher("sha256").update(bytes).digest("hex")

const shared = (setting: Setting, mode: "ro" | "rw") => {
  const host = join(setting.folder, "share")
  mkdirSync(join(host, "sub"), { recursive: true })
  writeFileSync(join(host, "sub", "file"), "of the host\n")
  return booted(setting, { shares: [{ host, guest: "/mnt", tag: "kit", mode }] }).pipe(
    Effect.tap((vm) => done(setting, vm, "mkdir -p /tmp/share; mount -t virtiofs kit /tmp/share")),
    Effect.map((vm) => ({ vm, host }))
  )
}

export const storage: ReadonlyArray<Case> = [
  {
    name: "a disk is read and written, byte for byte, and one that is read-only is not",
    claim: "features.disks",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const path = image(setting)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const vm = yield* withDisk(setting, { path })
          yield* same("the guest's hash", yield* done(setting, vm, "sha256sum </dev/vda"), `${hashOf(pattern)}  -`)
          yield* done(setting, vm, written)
        })
      )
      const wanted = Buffer.concat([Buffer.alloc(1024, "x"), pattern.subarray(1024)])
      yield* same("the image", hashOf(readFileSync(path)), hashOf(wanted))
      const reader = yield* withDisk(setting, { path, readOnly: true })
      yield* refused("writing to a read-only disk", done(setting, reader, `blockdev --setrw /dev/vda; ${written}`))
      yield* same("the image afterwards", hashOf(readFileSync(path)), hashOf(wanted))
    })
  },
  {
    name: "an ephemeral disk is written, and its image stays as it is",
    claim: "features.ephemeralDisks",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const path = image(setting)
      const vm = yield* withDisk(setting, { path, ephemeral: true })
      yield* done(setting, vm, written)
      yield* same("what the guest reads", yield* done(setting, vm, "head -c 4 /dev/vda"), "xxxx")
      yield* vm.kill
      yield* same("the image", hashOf(readFileSync(path)), hashOf(pattern))
    })
  },
  {
    name: "a qcow2 image is a disk of the size that it says, and shows what it builds on",
    claim: "features.qcow2",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const base = image(setting)
      const path = join(setting.folder, "top.qcow2")
      writeFileSync(path, qcow2({ size: mib, backing: { name: base, format: "raw" } }))
      const config: DiskConfig = { path, format: "qcow2", backing: [{ path: base }] }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const vm = yield* withDisk(setting, config)
          yield* same("the guest's hash", yield* done(setting, vm, "sha256sum </dev/vda"), `${hashOf(pattern)}  -`)
          yield* done(setting, vm, written)
        })
      )
      const again = yield* withDisk(setting, config)
      yield* same("what was written", yield* done(setting, again, "head -c 4 /dev/vda"), "xxxx")
      yield* same("the base", hashOf(readFileSync(base)), hashOf(pattern))
    })
  },
  {
    name: "shared folders are read, written where that is allowed, and seen by the host",
    claim: "features.shares",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const reader = yield* shared(setting, "ro")
      yield* same("the file", yield* done(setting, reader.vm, "cat /tmp/share/sub/file"), "of the host")
      yield* refused("writing to a read-only share", done(setting, reader.vm, "echo x >/tmp/share/new"))
      const writer = yield* shared(setting, "rw")
      yield* done(setting, writer.vm, "mkdir /tmp/share/made; echo of the guest >/tmp/share/made/file; sync")
      yield* same("what the host sees", readFileSync(join(writer.host, "made", "file"), "utf8"), "of the guest\n")
    })
  }
]
