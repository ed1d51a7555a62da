/**
 * A disk image with the distribution's own programs, for tests that busybox is too small for: file systems, disks and
 * networks are tried with what people use.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Apt from "./Apt.ts"
import * as Busybox from "./Busybox.ts"
import * as Cache from "./Cache.ts"
import * as Debian from "./Debian.ts"
import * as GuestAgent from "./GuestAgent.ts"
import { GuestError } from "./GuestError.ts"
import { output } from "./internal/run.ts"
import { stage } from "./Progress.ts"

/**
 * Absolute paths of what a build gives.
 *
 * @since 0.1.0
 * @category models
 */
export const Toolbox = Schema.Struct({
  /** A raw disk with an ext4 file system: a root for a kernel that has virtio-blk and ext4 built in, read-only too. */
  disk: Schema.String,
  /** JSON: what it was built from, and its hash. */
  provenance: Schema.String
})
/**
 * @since 0.1.0
 * @category models
 */
export type Toolbox = typeof Toolbox.Type

/** What is asked of the distribution; what these depend on comes along. */
const programs = [
  "attr",
  "bash",
  "coreutils",
  "e2fsprogs",
  "fio",
  "git",
  "iperf3",
  "mount",
  "socat",
  "strace",
  "tar",
  "util-linux"
]

/** Nobody reads it there, and it is a quarter of all. */
const leftOut = ["doc", "info", "lintian", "locale", "man"].map((name) => `usr/share/${name}`)

/** Free space of the file system, which also holds its own tables. */
const roomMib = 48

/** Changes when the steps below change what they build. */
const buildRevision = "2"

/**
 * What is ours of the build's inputs.
 *
 * @since 0.1.0
 * @category configuration
 */
export const recipe: ReadonlyArray<string> = [buildRevision, ...programs]

/**
 * Builds the image for `Architecture.Target` unless it is in the cache: fetches 85 MB, and takes half a minute.
 *
 * @since 0.1.0
 * @category images
 */
export const image = Effect.gen(function* () {
  const path = yield* Path.Path
  const agent = yield* GuestAgent.agent
  const busybox = yield* Debian.busybox
  const packages = yield* Apt.closure(programs)
  const inputs = [...recipe, ...Object.values(agent.provenance), busybox.identity, ...packages.map(Apt.identity)]
  const folder = yield* Cache.entry("toolbox", inputs, (folder) => build(packages, busybox, agent, folder))
  return {
    disk: path.join(folder, "disk"),
    provenance: path.join(folder, "provenance.json")
  } satisfies Toolbox
}).pipe(Effect.withSpan("Toolbox.image"))

const build = Effect.fn("Toolbox.build")(
  function* (
    packages: ReadonlyArray<Apt.Package>,
    busybox: Debian.Busybox,
    agent: GuestAgent.GuestAgent,
    folder: string
  ) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    // Beside the result, not in the temporary folder: it may be more than a tmpfs holds.
    const work = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(folder) })
    const root = path.join(work, "root")
    yield* fs.makeDirectory(root)
    yield* Apt.unpack(packages, root)
    for (const name of leftOut) yield* fs.remove(path.join(root, name), { recursive: true, force: true })
    yield* furnish(root, agent.program)
    yield* addBusybox(root, busybox)

    yield* stage("making the toolbox's disk")
    const disk = path.join(folder, "disk")
    const sizeMib = Number.parseInt((yield* output(Command.make("du", "-sm", root))).toString(), 10) + roomMib
    yield* output(asRoot("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "toolbox", "-d", root, disk, `${sizeMib}M`))
    const provenance = {
      packages: packages.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
      busybox: busybox.identity,
      agent: agent.provenance,
      disk: (yield* output(Command.make("sha256sum", disk))).toString().split(" ")[0]
    }
    yield* fs.writeFileString(path.join(folder, "provenance.json"), `${JSON.stringify(provenance, null, 2)}\n`)
  },
  Effect.scoped,
  Effect.catchTags({ BadArgument: failed, SystemError: failed })
)

/**
 * Files in the image belong to whom `mke2fs` sees as their owner; nobody but root has to be root for that. It is in a
 * folder that a user's PATH may lack.
 */
const asRoot = (...command: ReadonlyArray<string>) => {
  const user = process.getuid?.() === 0 ? [] : ["unshare", "--map-root-user"]
  return Command.make("sh", "-c", 'PATH="$PATH:/usr/sbin:/sbin" exec "$@"', "sh", ...user, ...command)
}

/** What maintainer scripts and base packages would have put there, as far as the programs or our init miss it. */
const furnish = Effect.fnUntraced(function* (root: string, init: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const at = (file: string) => path.join(root, file)
  // Distributions with a merged /usr have no more than links to it.
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (!(yield* fs.exists(at(name)))) yield* fs.symlink(`usr/${name}`, at(name))
  }
  for (const name of ["dev", "mnt", "proc", "run", "sys", "tmp"]) yield* fs.makeDirectory(at(name), { recursive: true })
  yield* fs.writeFileString(
    at("etc/passwd"),
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
  )
  yield* fs.writeFileString(at("etc/group"), "root:x:0:\nnogroup:x:65534:\n")
  yield* fs.writeFileString(at("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")
  yield* fs.copyFile(init, at("sbin/init"))
})

/** Busybox, and under the name of each program that none of the packages has. */
const addBusybox = Effect.fnUntraced(function* (root: string, { program }: Debian.Busybox) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folders = ["bin", "sbin", "usr/bin", "usr/sbin"].map((folder) => path.join(root, folder))
  yield* fs.copyFile(program, path.join(root, "bin/busybox"))
  yield* fs.symlink("bash", path.join(root, "bin/sh"))
  const taken = new Set((yield* Effect.forEach(folders, (folder) => fs.readDirectory(folder))).flat())
  for (const name of Busybox.commandsOf(yield* fs.readFile(program))) {
    if (!taken.has(name)) yield* fs.symlink("/bin/busybox", path.join(root, "usr/bin", name))
  }
})

function failed(cause: unknown) {
  return new GuestError({
    reason: "BuildFailed",
    subject: "building the toolbox",
    hint: "check that CAPSA_CACHE_DIR is writable and has 1 GB of space",
    cause
  })
}
