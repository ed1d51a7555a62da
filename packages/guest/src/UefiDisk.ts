/**
 * A disk that UEFI firmware starts: systemd's boot loader, a kernel and an initrd on an EFI system partition, for tests of
 * machines that start firmware. Made without root and without mounting anything.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Apt from "./Apt.ts"
import * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"
import { output } from "./internal/run.ts"
import { sha256 } from "./internal/sha256.ts"
import { stage } from "./Progress.ts"

/**
 * Absolute path of what a build gives.
 *
 * @since 0.1.0
 * @category models
 */
export const UefiDisk = Schema.Struct({
  /** A raw disk with a GPT. */
  disk: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type UefiDisk = typeof UefiDisk.Type

/** A machine on an emulated processor and a busy host passes no check of its timer. */
const cmdline = "console=ttyS0 panic=-1 no_timer_check"

const mib = 1024 * 1024
/** The table needs room at both ends of the disk. */
const partition = { startMib: 1, sizeMib: 94 }
const diskMib = 96
const sectorsOf = (size: number) => (size * mib) / 512

/** What makes a partition one that firmware looks at. */
const systemPartition = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"

/** Changes when the steps below change what they build. */
const buildRevision = "1"

/**
 * What is ours of the build's inputs.
 *
 * @since 0.1.0
 * @category configuration
 */
export const recipe: ReadonlyArray<string> = [buildRevision, cmdline]

/**
 * Builds the disk that starts this kernel, with EFI's stub in it, unless it is in the cache.
 *
 * @since 0.1.0
 * @category images
 */
export const image = Effect.fn("UefiDisk.image")(
  function* (kernel: string, initrd: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const loader = yield* Apt.resolve("systemd-boot-efi")
    const hashes = yield* Effect.forEach([kernel, initrd], (file) => Effect.map(fs.readFile(file), sha256))
    const folder = yield* Cache.entry("uefi", [...recipe, Apt.identity(loader), ...hashes], (folder) =>
      build(loader, kernel, initrd, folder)
    )
    return { disk: path.join(folder, "disk") } satisfies UefiDisk
  },
  (building) => Effect.catchTags(building, { BadArgument: failed, SystemError: failed })
)

const build = Effect.fn("UefiDisk.build")(
  function* (loader: Apt.Package, kernel: string, initrd: string, folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const work = yield* fs.makeTempDirectoryScoped()
    yield* Apt.unpack([loader], work)
    yield* stage("making the UEFI disk")
    const disk = path.join(folder, "disk")
    yield* fs.writeFile(disk, new Uint8Array(0))
    yield* fs.truncate(disk, diskMib * mib)
    const size = sectorsOf(partition.sizeMib)
    const table = `label: gpt\nstart=${sectorsOf(partition.startMib)}, size=${size}, type=${systemPartition}\n`
    yield* output(Command.feed(tool("sfdisk", "--quiet", disk), table))

    const text = Effect.fnUntraced(function* (name: string, content: string) {
      yield* fs.writeFileString(path.join(work, name), content)
      return path.join(work, name)
    })
    const onDisk = ["-i", `${disk}@@${partition.startMib * mib}`]
    const copy = (from: string, to: string) => output(tool("mcopy", ...onDisk, from, `::${to}`))
    yield* output(tool("mformat", ...onDisk, "-F", "-T", `${size}`, "-v", "CAPSA", "::"))
    yield* output(tool("mmd", ...onDisk, "::EFI", "::EFI/BOOT", "::loader", "::loader/entries"))
    yield* copy(path.join(work, "usr/lib/systemd/boot/efi/systemd-bootx64.efi"), "EFI/BOOT/BOOTX64.EFI")
    yield* copy(kernel, "linux")
    yield* copy(initrd, "initrd")
    yield* copy(yield* text("loader", "timeout 0\n"), "loader/loader.conf")
    const entry = `title capsa\nlinux /linux\ninitrd /initrd\noptions ${cmdline}\n`
    yield* copy(yield* text("entry", entry), "loader/entries/capsa.conf")
  },
  Effect.scoped,
  (building) => Effect.catchTags(building, { BadArgument: failed, SystemError: failed })
)

/** Some are in a folder that a user's PATH may lack. */
const tool = (...command: ReadonlyArray<string>) =>
  Command.make("sh", "-c", 'PATH="$PATH:/usr/sbin:/sbin" exec "$@"', "sh", ...command)

const failed = (cause: unknown) =>
  new GuestError({
    reason: "BuildFailed",
    subject: "making the UEFI disk",
    hint: "check that CAPSA_CACHE_DIR is writable and has space",
    cause
  })
