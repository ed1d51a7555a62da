/**
 * The program that is first in our guests and serves their hosts: built from native/guest with the system's compiler and
 * the distribution's musl, which need not be installed.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Apt from "./Apt.ts"
import * as Architecture from "./Architecture.ts"
import * as Cache from "./Cache.ts"
import { GuestError } from "./GuestError.ts"
import { compiler, toolPrefix } from "./internal/compiler.ts"
import { output } from "./internal/run.ts"
import { stage } from "./Progress.ts"

/**
 * A build of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface GuestAgent {
  /** Absolute path of the program. */
  readonly program: string
  /** What it calls itself. */
  readonly version: string
  /** Tells it from every other: the same gives the same program, byte for byte. */
  readonly provenance: {
    /** A hash of the sources. */
    readonly sources: string
    readonly compiler: string
    /** The C library's package. */
    readonly library: string
  }
}

const folder = Bun.fileURLToPath(new URL("../../../native/guest", import.meta.url))

/**
 * A hash of the sources, in one text.
 *
 * @since 0.1.0
 * @category building
 */
export const sources = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = (yield* fs.readDirectory(folder)).filter((name) => /\.[ch]$|^Makefile$/.test(name)).sort()
  const hasher = new Bun.CryptoHasher("sha256")
  for (const name of names) {
    const content = yield* fs.readFile(path.join(folder, name))
    hasher.update(`${name} ${content.length}\n`).update(content)
  }
  return hasher.digest("hex")
}).pipe(Effect.mapError(damaged))

/** The program itself may be for another processor, and cannot be asked. */
const version = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const header = yield* fs.readFileString(path.join(folder, "protocol.h"))
  return yield* Effect.fromNullable(/^#define AGENT_VERSION\s+"(.*)"$/m.exec(header)?.[1])
}).pipe(Effect.mapError(damaged))

function damaged(cause: unknown) {
  return new GuestError({
    reason: "BuildFailed",
    subject: "reading the sources of the guest's agent",
    hint: "the package @capsa/guest is damaged: install it again",
    cause
  })
}

/**
 * Builds the program for `Architecture.Target` unless it is in the cache; about two seconds.
 *
 * @since 0.1.0
 * @category building
 */
export const agent = Effect.gen(function* () {
  const path = yield* Path.Path
  const musl = yield* Apt.resolve("musl-dev")
  const provenance = { sources: yield* sources, compiler: yield* compiler, library: Apt.identity(musl) }
  const built = yield* Cache.entry("agent", Object.values(provenance), (target) => build(musl, target))
  return { program: path.join(built, "capsa-init"), version: yield* version, provenance } satisfies GuestAgent
}).pipe(Effect.withSpan("GuestAgent.agent"))

const build = Effect.fn("GuestAgent.build")(
  function* (musl: Apt.Package, target: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* stage("compiling the guest's agent")
    const work = yield* fs.makeTempDirectoryScoped({ directory: path.dirname(target) })
    yield* Apt.unpack([musl], work)
    const cc = `${toolPrefix(yield* Architecture.Target)}gcc`
    yield* output(Command.make("make", "-C", folder, `CC=${cc}`, `BUILD=${target}`, `MUSL=${work}`))
  },
  Effect.scoped,
  Effect.catchTags({ BadArgument: failed, SystemError: failed })
)

function failed(cause: unknown) {
  return new GuestError({
    reason: "BuildFailed",
    subject: "compiling the guest's agent",
    hint: "check that CAPSA_CACHE_DIR is writable and has space",
    cause
  })
}
