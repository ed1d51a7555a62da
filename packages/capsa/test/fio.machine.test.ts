/**
 * What fio writes to a disk it reads again, with many requests under way, the same for every backend: CAPSA_TEST_BACKEND
 * chooses it (kvm or qemu, the default).
 */
import { describe, expect } from "bun:test"
import { readFileSync } from "node:fs"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { booted, image, mib, powerOff, scratch, sha256, tell, test } from "./fixtures/disks.ts"
import { backendName, quick } from "./fixtures/realBackend.ts"

const built = Effect.all([GuestImages.toolbox, GuestImages.debian])
const [toolbox, debian] = await Effect.runPromise(Effect.provide(built, BunContext.layer))
const debianBoot = { kernel: debian.kernel, initrd: debian.initrd }

const jobs = 4
const jobMib = 2

/** Each job has a part of the disk to itself: what it reads must be what it wrote. */
const fio = (pattern: string) =>
  [
    ...["fio", "--name=verify", "--filename=/dev/vdb", "--direct=1", "--ioengine=io_uring", "--iodepth=32", "--thread"],
    ...[`--numjobs=${jobs}`, `--size=${jobMib}m`, `--offset_increment=${jobMib}m`, "--fsync=64"],
    ...["--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--eta=never", "--group_reporting", "--minimal"],
    pattern
  ].join(" ")

const patterns = ["--rw=randrw --bs=4k", "--rw=randwrite --bsrange=4k-64k", "--rw=write --bs=1m"]

/** Kernels, and how each gets at the toolbox: as its root, or as a disk that the initrd's shell mounts. */
const { initrd: _, ...tinyBoot } = quick
const mounted = "mkdir /mnt && mount -o ro /dev/vda /mnt && mount --bind /dev /mnt/dev && mount -t tmpfs tmpfs /mnt/tmp"
const kernels = [
  { kernel: "the tiny kernel", boot: tinyBoot, prepare: "true", within: "" },
  { kernel: "Debian's kernel", boot: debianBoot, prepare: mounted, within: "chroot /mnt " }
]

describe(`fio on ${backendName}`, () => {
  for (const { kernel, boot, prepare, within } of kernels) {
    for (const ephemeral of [false, true]) {
      test(`${jobs} jobs with 32 requests each ${ephemeral ? "on an ephemeral disk" : "on an image"}, with ${kernel}`, () =>
        Effect.gen(function* () {
          const bytes = new Uint8Array(jobs * jobMib * mib)
          const path = image(yield* scratch, "disk.img", bytes)
          const vm = yield* booted({
            boot: { ...boot, cmdline: "loglevel=1" },
            cpus: 2,
            disks: [
              { path: toolbox.disk, readOnly: true },
              { path, ephemeral }
            ]
          })
          yield* tell(vm, prepare)
          for (const pattern of patterns)
            yield* tell(vm, `cd /tmp && ${within}${fio(pattern)} >/tmp/log || (tail -5 /tmp/log; false)`)
          const seen = (yield* tell(vm, "sha256sum </dev/vdb")).split(" ")[0]
          yield* powerOff(vm)
          const kept = sha256(readFileSync(path))
          expect(kept === seen).toBe(!ephemeral)
          expect(kept === sha256(bytes)).toBe(ephemeral)
        }))
    }
  }
})
