/**
 * A disk on which the distribution is installed as it installs itself, with systemd: what people bring along as their own.
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
import { stage } from "./Progress.ts"

/**
 * Absolute paths of what a build gives.
 *
 * @since 0.1.0
 * @category models
 */
export const Systemd = Schema.Struct({
  /** A raw disk with an ext4 file system and no partitions: the root of a kernel that has an initrd for it, or needs none. */
  disk: Schema.String,
  /** JSON: the packages, and the disk's hash. */
  provenance: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type Systemd = typeof Systemd.Type

/**
 * Who can log in at the console.
 *
 * @since 0.1.0
 * @category configuration
 */
export const account = { user: "root", password: "capsa" } as const

/** What is asked of the distribution; what these depend on comes along. */
const wanted = [
  "?essential",
  "apt",
  "dbus",
  "iproute2",
  "kmod",
  "libpam-systemd",
  "login",
  "passwd",
  "procps",
  "systemd-sysv",
  "udev",
  // Else it is usrmerge, which brings the whole of Perl.
  "usr-is-merged"
]

/** Nobody reads it there. */
const leftOut = ["doc", "info", "lintian", "locale", "man"]

/** They work while a machine comes up, on packages that nobody changes. */
const masked = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer"]

/** Of the file system, beside what is installed. */
const roomMib = 128

/** Before anything is unpacked; `$1` is the root. */
const before = `for name in bin sbin lib lib64; do mkdir -p "$1/usr/$name" && ln -s "usr/$name" "$1/$name" || exit; done`

/** When all is installed. What names the host goes, and no machine has another's identity. */
const after = `set -e
echo '${account.user}:${account.password}' | chroot "$1" chpasswd
echo capsa >"$1/etc/hostname"
printf '127.0.0.1 localhost capsa\\n::1 localhost\\n' >"$1/etc/hosts"
rm -f "$1/etc/machine-id" "$1/etc/resolv.conf"
: >"$1/etc/machine-id"
: >"$1/etc/apt/sources.list"
cd "$1/etc/systemd/system"
for name in ${masked.join(" ")}; do ln -s /dev/null "$name"; done`

/** Changes when the steps below change what they build. */
const buildRevision = "1"

/**
 * What is ours of the build's inputs.
 *
 * @since 0.1.0
 * @category configuration
 */
export const recipe: ReadonlyArray<string> = [buildRevision, String(roomMib), before, after, ...wanted, ...leftOut]

/**
 * Builds the image unless it is in the cache: fetches 45 MB, and takes one to two minutes.
 *
 * @since 0.1.0
 * @category images
 */
export const image = Effect.gen(function* () {
  const path = yield* Path.Path
  const packages = yield* Apt.closure(wanted)
  const folder = yield* Cache.entry("systemd", [...recipe, ...packages.map(Apt.identity)], (folder) =>
    build(packages, folder)
  )
  return { disk: path.join(folder, "disk"), provenance: path.join(folder, "provenance.json") } satisfies Systemd
}).pipe(Effect.withSpan("Systemd.image"))

const build = Effect.fn("Systemd.build")(
  function* (packages: ReadonlyArray<Apt.Package>, folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    // Beside the result, not in the temporary folder: it may be more than a tmpfs holds.
    const work = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(folder) })
    const archive = path.join(work, "root.tar")
    yield* install(packages, archive)

    yield* stage("making the disk of the distribution")
    const root = path.join(work, "root")
    const disk = path.join(folder, "disk")
    yield* output(asRoot("sh", "-ec", makeDisk, "sh", archive, root, disk, String(roomMib)))
    const provenance = {
      packages: packages.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
      disk: (yield* output(Command.make("sha256sum", disk))).toString().split(" ")[0]
    }
    yield* fs.writeFileString(path.join(folder, "provenance.json"), `${JSON.stringify(provenance, null, 2)}\n`)
  },
  Effect.scoped,
  Effect.catchTags({ BadArgument: failed, SystemError: failed })
)

/**
 * Has the packages' own scripts run in a new root, and packs that. mmdebstrap needs neither root nor, since the archives
 * are here, a source of packages.
 */
const install = Effect.fnUntraced(function* (packages: ReadonlyArray<Apt.Package>, archive: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const source = yield* fs.makeTempDirectoryScoped({ prefix: "capsa-packages-" })
  // Without root, mmdebstrap reads it as another user than the one who owns it.
  yield* fs.chmod(source, 0o755)
  yield* Apt.download(packages, source)
  const index = Command.workingDirectory(Command.make("dpkg-scanpackages", "."), source)
  yield* fs.writeFile(path.join(source, "Packages"), yield* output(index))

  yield* stage(`installing ${packages.length} packages`)
  yield* output(
    Command.make(
      "mmdebstrap",
      "--quiet",
      "--variant=essential",
      `--include=${packages.map(({ name }) => name).join(",")}`,
      "--dpkgopt=force-unsafe-io",
      ...leftOut.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
      `--setup-hook=${before}`,
      `--customize-hook=${after}`,
      "",
      archive,
      `deb [trusted=yes] copy:${source} ./`
    )
  )
}, Effect.scoped)

/** A file system of an archive, by way of a folder. The kernel fills /dev. */
const makeDisk = `mkdir "$2"
tar --extract --preserve-permissions --numeric-owner --exclude='./dev/*' --file="$1" --directory="$2"
rm "$1"
size=$(($(du -sm "$2" | cut -f 1) + $4))
mke2fs -q -t ext4 -m 0 -L root -d "$2" "$3" "$size"M`

/**
 * Files in the image belong to whom `mke2fs` sees as their owner; who is not root has fakeroot remember it. mke2fs is in a
 * folder that a user's PATH may lack.
 */
const asRoot = (...command: ReadonlyArray<string>) => {
  const user = process.getuid?.() === 0 ? [] : ["fakeroot"]
  return Command.make("sh", "-c", 'PATH="$PATH:/usr/sbin:/sbin" exec "$@"', "sh", ...user, ...command)
}

function failed(cause: unknown) {
  return new GuestError({
    reason: "BuildFailed",
    subject: "building the disk of the distribution",
    hint: "check that CAPSA_CACHE_DIR is writable and has 1 GB of space",
    cause
  })
}
