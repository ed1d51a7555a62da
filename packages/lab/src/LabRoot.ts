/**
 * Programs for a lab of another architecture than the host's, which cannot run the host's own: busybox, the C library,
 * Bun, and what tests need beside them.
 *
 * @since 0.1.0
 */
import * as Apt from "@capsa/guest/Apt"
import * as Cache from "@capsa/guest/Cache"
import * as Debian from "@capsa/guest/Debian"
import { stage } from "@capsa/guest/Progress"
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { LabError } from "./LabError.ts"

/**
 * Path of a root file system for arm64 with `bun` of this Bun's version in it. Fetched on first use, then taken from the
 * cache.
 *
 * @since 0.1.0
 * @category images
 */
export const arm64 = Effect.gen(function* () {
  const recipe = [revision, bunPackage, ...packages]
  const { root } = yield* Cache.remembered("lab-root", recipe, LabRoot, Apt.retryWithFreshLists(build))
  return root
})

const LabRoot = Schema.Struct({ root: Schema.String })

/** Changes when the steps below change what they build. */
const revision = "2"

/**
 * What Bun, and programs that the cross compiler makes, link; what the library loads for user networks; and what tests run
 * on the host's side. What these depend on comes along.
 */
const packages = ["libc6", "libgcc-s1", "libslirp0", "e2fsprogs", "iproute2", "socat", "tar"]

const bunPackage = `@oven/bun-linux-aarch64@${Bun.version}`

const build = Effect.gen(function* () {
  const found = yield* Apt.closure(packages)
  const busybox = yield* Debian.busybox
  const inputs = [revision, bunPackage, ...found.map(Apt.identity), busybox.identity]
  const root = yield* Cache.entry("lab-root", inputs, (folder) =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      yield* Apt.unpack(found, folder)
      const folders = ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "root", "etc", ...mountPoints]
      yield* Effect.forEach(folders, (name) => fs.makeDirectory(path.join(folder, name), { recursive: true }))
      // A distribution with a merged /usr has it so.
      if (!(yield* fs.exists(path.join(folder, "lib")))) yield* fs.symlink("usr/lib", path.join(folder, "lib"))
      yield* fs.copyFile(busybox.program, path.join(folder, "bin/busybox"))
      yield* fs.writeFileString(path.join(folder, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
      yield* fs.writeFileString(path.join(folder, "etc/group"), "root:x:0:\n")
      yield* fs.copyFile(yield* bun, path.join(folder, "usr/local/bin/bun"))
      yield* fs.chmod(path.join(folder, "usr/local/bin/bun"), 0o755)
    }).pipe(Effect.scoped)
  )
  return { root }
})

const mountPoints = ["proc", "sys", "dev", "run", "tmp", "mnt"]

/** Path of the Bun for arm64, fetched from npm's registry to a folder that goes with the scope. */
const bun = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* stage(`fetching ${bunPackage}`)
  const folder = yield* fs.makeTempDirectoryScoped()
  yield* fs.writeFileString(path.join(folder, "package.json"), '{ "private": true }\n')
  const add = Command.make(process.execPath, "add", "--exact", "--cpu=arm64", "--os=linux", bunPackage)
  const running = yield* Command.start(Command.workingDirectory(add, folder))
  const said = yield* Stream.mkString(Stream.decodeText(Stream.merge(running.stdout, running.stderr)))
  if ((yield* running.exitCode) !== 0) {
    return yield* new LabError({
      reason: "ImageUnavailable",
      subject: bunPackage,
      hint: "check the network and the npm registry's settings",
      cause: said
    })
  }
  return path.join(folder, "node_modules/@oven/bun-linux-aarch64/bin/bun")
})
