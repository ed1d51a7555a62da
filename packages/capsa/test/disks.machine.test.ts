/**
 * Disks of real guests, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the default). What a guest
 * says that it did is compared with what the host finds in the files.
 */
import { describe, expect } from "bun:test"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Vm from "../src/Vm.ts"
import { booted, bootTime, image, mib, powerOff, prompt, run, scratch, sha256, tell, test } from "./fixtures/disks.ts"
import { checkExt4, makeExt4, makeRoot, noExt4, readExt4 } from "./fixtures/ext4.ts"
import { backendName, quick } from "./fixtures/realBackend.ts"

const debian = await Effect.runPromise(Effect.provide(GuestImages.debian, BunContext.layer))

/** Bytes that are no pattern, the same for the same seed. */
const noise = (bytes: number, seed: number): Uint8Array => {
  const hasher = (block: number) => new Bun.CryptoHasher("sha512").update(`${seed} ${block}`).digest()
  return new Uint8Array(
    Buffer.concat(Array.from({ length: Math.ceil(bytes / 64) }, (_, block) => hasher(block)))
  ).slice(0, bytes)
}

describe(`disks on ${backendName}`, () => {
  test(
    "a machine boots from its first disk, and what it writes is there afterwards",
    () =>
      Effect.gen(function* () {
        const folder = yield* scratch
        const root = join(folder, "root.img")
        mkdirSync(join(folder, "root"))
        yield* makeRoot(join(folder, "root"))
        yield* makeExt4(root, 32 * mib, join(folder, "root"))
        const { initrd: _, ...boot } = quick
        const vm = yield* booted({ boot, disks: [{ path: root }] })
        expect(yield* tell(vm, "grep -w / /proc/mounts")).toContain("/dev/root / ext4 rw")
        yield* tell(vm, "seq 1 50000 >/numbers && mkdir /made && mv /numbers /made/")
        yield* tell(vm, "mount -o remount,ro /")
        yield* powerOff(vm)
        yield* checkExt4(root)
        const numbers = yield* readExt4(root, "/made/numbers")
        expect(numbers).toBe(Array.from({ length: 50_000 }, (_, index) => `${index + 1}\n`).join(""))
      }),
    { cause: noExt4 }
  )

  test("the distribution's kernel finds a disk", () =>
    Effect.gen(function* () {
      const content = noise(mib, 1)
      const path = image(yield* scratch, "disk.img", content)
      const vm = yield* Vm.launch({
        boot: { kernel: debian.kernel, initrd: debian.initrd, cmdline: "loglevel=1" },
        disks: [{ path }]
      })
      yield* vm.console.expect(prompt, { timeout: bootTime })
      expect(yield* tell(vm, "sha256sum </dev/vda")).toContain(sha256(content))
    }))

  test("four disks: each is what it was said to be", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const contents = [2, 3, 4, 5].map((sizeMib, index) => noise(sizeMib * mib, index + 10))
      const paths = contents.map((content, index) => image(folder, `${index}.img`, content))
      const [writable = "", fixed = "", thrown = "", last = ""] = paths
      const vm = yield* booted({
        disks: [
          { path: writable },
          { path: fixed, readOnly: true, serial: "do-not-touch" },
          { path: thrown, ephemeral: true },
          { path: last, serial: "0123456789.ABCDE_-xy" }
        ]
      })
      // The kernel ends a serial with no line.
      const serials = "for disk in /sys/block/vd?; do cat $disk/serial; echo; done"
      expect((yield* tell(vm, serials)).split(/\s+/)).toEqual([
        "capsa-disk0",
        "do-not-touch",
        "capsa-disk2",
        "0123456789.ABCDE_-xy"
      ])
      expect((yield* tell(vm, "cat /sys/block/vd?/size")).split(/\s+/)).toEqual(
        [2, 3, 4, 5].map((sizeMib) => String((sizeMib * mib) / 512))
      )
      expect((yield* tell(vm, "cat /sys/block/vd?/ro")).split(/\s+/)).toEqual(["0", "1", "0", "0"])
      for (const [index, letter] of ["a", "b", "c", "d"].entries()) {
        expect(yield* tell(vm, `sha256sum </dev/vd${letter}`)).toContain(sha256(contents[index] ?? new Uint8Array()))
      }

      // What a guest writes: whole blocks, and single sectors at odd places.
      const numbers = Array.from({ length: 30_000 }, (_, index) => `${index + 1}\n`).join("")
      yield* tell(vm, "seq 1 30000 >/tmp/numbers")
      for (const letter of ["a", "c", "d"]) {
        yield* tell(vm, `dd if=/tmp/numbers of=/dev/vd${letter} bs=4k seek=16 conv=notrunc,fsync`)
        yield* tell(vm, `dd if=/tmp/numbers of=/dev/vd${letter} bs=512 seek=1001 count=3 conv=notrunc,fsync`)
      }
      const written = (content: Uint8Array) => {
        const bytes = new Uint8Array(content)
        bytes.set(new TextEncoder().encode(numbers), 65_536)
        bytes.set(new TextEncoder().encode(numbers).subarray(0, 1536), 1001 * 512)
        return bytes
      }
      yield* tell(vm, "echo 3 >/proc/sys/vm/drop_caches")
      const expected = contents.map(written)
      for (const [index, letter] of [
        [0, "a"],
        [2, "c"],
        [3, "d"]
      ] as const) {
        expect(yield* tell(vm, `sha256sum </dev/vd${letter}`)).toContain(sha256(expected[index] ?? new Uint8Array()))
      }

      // The read-only one does not give way, whatever is tried.
      for (const command of [
        "dd if=/tmp/numbers of=/dev/vdb bs=4k conv=notrunc,fsync",
        "blockdev --setrw /dev/vdb; dd if=/tmp/numbers of=/dev/vdb bs=4k conv=notrunc,fsync",
        "blkdiscard /dev/vdb"
      ]) {
        expect((yield* run(vm, command)).exitCode).not.toBe(0)
      }
      expect(yield* tell(vm, "sha256sum </dev/vdb")).toContain(sha256(contents[1] ?? new Uint8Array()))
      yield* powerOff(vm)

      expect(sha256(readFileSync(writable))).toBe(sha256(expected[0] ?? new Uint8Array()))
      expect(sha256(readFileSync(fixed))).toBe(sha256(contents[1] ?? new Uint8Array()))
      expect(sha256(readFileSync(thrown))).toBe(sha256(contents[2] ?? new Uint8Array()))
      expect(sha256(readFileSync(last))).toBe(sha256(expected[3] ?? new Uint8Array()))
      expect(readdirSync(folder).sort()).toEqual(paths.map((path) => path.slice(folder.length + 1)))
    }))

  test("discarding gives the file's space back", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const path = image(folder, "disk.img", noise(8 * mib, 20))
      const before = statSync(path).blocks
      const vm = yield* booted({ disks: [{ path }] })
      yield* tell(vm, `blkdiscard -o ${2 * mib} -l ${4 * mib} /dev/vda`)
      expect(statSync(path).blocks).toBeLessThanOrEqual(before - (4 * mib) / 512)
      yield* powerOff(vm)
      const kept = noise(8 * mib, 20)
      const bytes = new Uint8Array(readFileSync(path))
      expect(sha256(bytes.subarray(0, 2 * mib))).toBe(sha256(kept.subarray(0, 2 * mib)))
      expect(sha256(bytes.subarray(6 * mib))).toBe(sha256(kept.subarray(6 * mib)))
    }))

  test(
    "a file system gives back what it no longer needs",
    () =>
      Effect.gen(function* () {
        const folder = yield* scratch
        const path = join(folder, "disk.img")
        mkdirSync(join(folder, "content"))
        writeFileSync(join(folder, "content/ballast"), noise(6 * mib, 21))
        yield* makeExt4(path, 16 * mib, join(folder, "content"))
        const before = statSync(path).blocks
        const vm = yield* booted({ disks: [{ path }] })
        yield* tell(vm, "mkdir /tmp/disk && mount -t ext4 /dev/vda /tmp/disk")
        expect(yield* tell(vm, "sha256sum </tmp/disk/ballast")).toContain(sha256(noise(6 * mib, 21)))
        yield* tell(vm, "rm /tmp/disk/ballast && sync && fstrim /tmp/disk && umount /tmp/disk")
        expect(statSync(path).blocks).toBeLessThanOrEqual(before - (5 * mib) / 512)
        yield* powerOff(vm)
        yield* checkExt4(path)
      }),
    { cause: noExt4 }
  )

  test("what is read and written is counted", () =>
    Effect.gen(function* () {
      const folder = yield* scratch
      const vm = yield* booted({
        disks: [
          { path: image(folder, "a.img", noise(2 * mib, 30)) },
          { path: image(folder, "b.img", noise(2 * mib, 31)), ephemeral: true }
        ]
      })
      const before = yield* vm.stats
      yield* tell(vm, "sha256sum /dev/vda /dev/vdb")
      yield* tell(vm, "dd if=/dev/zero of=/dev/vda bs=64k count=8 conv=notrunc,fsync")
      yield* tell(vm, "dd if=/dev/zero of=/dev/vdb bs=64k count=8 conv=notrunc,fsync")
      const after = yield* vm.stats
      // What it found out when it started it may have kept.
      expect(after.diskReadBytes ?? 0).toBeGreaterThan((before.diskReadBytes ?? 0) + 3 * mib)
      expect(after.diskReadBytes ?? 0).toBeLessThan(8 * mib)
      expect((after.diskWrittenBytes ?? 0) - (before.diskWrittenBytes ?? 0)).toBe(mib)
    }))
})
