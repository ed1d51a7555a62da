/**
 * A busybox of our own: the distribution's source without what a capsa machine has no use for, and with musl, which is
 * less than half as large as the distribution's static one. What an initrd does not hold need not be unpacked.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Apt from "./Apt.ts"
import * as AptSource from "./AptSource.ts"
import * as Architecture from "./Architecture.ts"
import * as Cache from "./Cache.ts"
import type { Busybox } from "./Debian.ts"
import { GuestError } from "./GuestError.ts"
import { compiler, compilerPackages, toolPrefix } from "./internal/compiler.ts"
import { output } from "./internal/run.ts"
import { sha256 } from "./internal/sha256.ts"
import { stage } from "./Progress.ts"
import { notApplied } from "./TinyKernel.ts"

/**
 * The configuration fragment, merged over busybox's defaults.
 *
 * @since 0.1.0
 * @category configuration
 */
export const fragmentFile: string = Bun.fileURLToPath(new URL("../busybox/tiny.config", import.meta.url))

/** Changes when the steps below change what they build. */
const buildRevision = "2"

/**
 * What is ours of the build's inputs: its steps' revision, and the configuration fragment.
 *
 * @since 0.1.0
 * @category configuration
 */
export const recipe: Effect.Effect<readonly [revision: string, fragment: string], GuestError, FileSystem.FileSystem> =
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(fragmentFile)).pipe(
    Effect.map((fragment) => [buildRevision, fragment] as const),
    Effect.mapError((cause) => failed("reading busybox's configuration")(cause))
  )

/**
 * Builds the program for `Architecture.Target` unless it is in the cache; about half a minute on two cores.
 *
 * @since 0.1.0
 * @category images
 */
export const busybox = Effect.gen(function* () {
  const path = yield* Path.Path
  const [, fragment] = yield* recipe
  const source = yield* AptSource.resolve("busybox")
  const musl = yield* Apt.resolve("musl-dev")
  const parts = [AptSource.identity(source), Apt.identity(musl), yield* compiler]
  const inputs = [buildRevision, fragment, ...parts]
  const folder = yield* Cache.entry("tiny-busybox", inputs, (folder) => build(source, musl, fragment, folder))
  return {
    program: path.join(folder, "busybox"),
    identity: [...parts, `configuration sha256:${sha256(fragment)}`, `steps ${buildRevision}`].join(", ")
  } satisfies Busybox
}).pipe(Effect.withSpan("TinyBusybox.busybox"))

const build = Effect.fn("TinyBusybox.build")(
  function* (source: AptSource.AptSource, musl: Apt.Package, fragment: string, folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const target = yield* Architecture.Target
    yield* checkTools(target)
    const work = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(folder) })
    const tree = path.join(work, "tree")
    const library = path.join(work, "musl")
    yield* AptSource.unpack(source, tree)
    yield* Apt.unpack([musl], library)

    const prefix = toolPrefix(target)
    const variables = [`CC=${yield* compilerWith(library, prefix)}`, `CROSS_COMPILE=${prefix}`, "HOSTCC=gcc"]
    const make = (...targets: Array<string>) =>
      Command.make("make", "-C", tree, ...variables, ...targets).pipe(
        // With a fixed date the same inputs give the same program.
        Command.env({ BB_EXTRA_VERSION: source.version, SOURCE_DATE_EPOCH: "0", LC_ALL: "C" })
      )
    yield* stage("configuring the tiny busybox")
    yield* fs.writeFileString(path.join(tree, "configs/capsa_defconfig"), fragment)
    yield* output(make("capsa_defconfig"))
    const config = yield* fs.readFileString(path.join(tree, ".config"))
    const ignored = notApplied(fragment, config)
    if (ignored.length > 0) {
      return yield* new GuestError({
        reason: "BuildFailed",
        subject: `busybox's configuration: not taken as written: ${ignored.join(", ")}`,
        hint: `adapt ${fragmentFile} to ${source.name} ${source.version}`
      })
    }

    const jobs = (yield* output(Command.make("nproc"))).toString().trim()
    let compiled = 0
    yield* output(make(`-j${jobs}`, "busybox"), (line) =>
      /^ {2}CC /.test(line) ? stage(`compiling the tiny busybox (file ${++compiled})`) : Effect.void
    )
    yield* fs.copyFile(path.join(tree, "busybox"), path.join(folder, "busybox"))
    yield* fs.writeFileString(path.join(folder, "config"), config)
  },
  Effect.scoped,
  Effect.catchTags({
    BadArgument: failed("building the tiny busybox"),
    SystemError: failed("building the tiny busybox")
  })
)

/** The system's compiler whose tools' names begin with `prefix`, for the C library in `library` instead of its own. */
const compilerWith = Effect.fnUntraced(function* (library: string, prefix: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const ask = (question: string) =>
    Effect.map(output(Command.make(`${prefix}gcc`, question)), (answer) => answer.toString().trim())
  const target = yield* ask("-dumpmachine")
  const musl = `${target.split("-")[0]}-linux-musl`
  const specs = path.join(library, "specs")
  yield* fs.writeFileString(specs, linking(path.join(library, "usr/lib", musl)))
  // The kernel's headers come after musl's, whose names they share.
  return [
    `${prefix}gcc -specs=${specs} -fno-pie -no-pie -fno-stack-protector -nostdinc`,
    ...[path.join(library, "usr/include", musl), yield* ask("-print-file-name=include")].map(
      (one) => `-isystem ${one}`
    ),
    ...[`/usr/${target}/include`, `/usr/include/${target}`, "/usr/include"].map((one) => `-idirafter ${one}`)
  ].join(" ")
})

/**
 * How gcc links a static program with the C library in `folder`: its "spec strings". musl protects no relocated data of
 * such a program, and on arm64 the page that is set aside for it fills 30 KB of the file.
 */
const linking = (folder: string) => `*link_libgcc:
-L${folder} -L .%s

*libgcc:
libgcc.a%s

*startfile:
${folder}/crt1.o ${folder}/crti.o

*endfile:
${folder}/crtn.o

*link:
-nostdlib -static --build-id=none -z norelro

`

const checkTools = Effect.fnUntraced(function* (target: Architecture.Architecture) {
  const prefixed = ["gcc", "ld", "strip"].map((tool) => `${toolPrefix(target)}${tool}`)
  const missing = ["make", "gcc", "dpkg-source", "nproc", ...prefixed].filter((tool) => Bun.which(tool) === null)
  if (missing.length === 0) return
  return yield* new GuestError({
    reason: "ToolMissing",
    subject: missing.join(", "),
    hint: `\`bun run setup\` installs them, or: apt-get install make gcc dpkg-dev ${compilerPackages(target)}`
  })
})

function failed(subject: string) {
  return (cause: unknown) =>
    new GuestError({
      reason: "BuildFailed",
      subject,
      hint: "check that the temporary folder and CAPSA_CACHE_DIR are writable and have 200 MB of space",
      cause
    })
}
