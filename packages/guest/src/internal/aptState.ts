/** apt's state in folders of ours: what it knows of the sources, for packages and for their source code. */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Architecture from "../Architecture.ts"
import * as Cache from "../Cache.ts"
import { GuestError } from "../GuestError.ts"
import { run } from "./run.ts"

export interface AptState {
  /** Make apt work in the folder. */
  readonly options: ReadonlyArray<string>
  /** Held while the lists are fetched. */
  readonly lock: string
}

/**
 * Hooks of the system's configuration are dropped because they expect the system's own folders, and root.
 */
const configuration = `Acquire::Languages "none";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`

/** Makes apt take the system for one of this architecture. */
const configurationFor = (architecture: Architecture.Architecture): string => {
  if (architecture === Architecture.host) return configuration
  const name = Architecture.debianName[architecture]
  return `${configuration}APT::Architecture "${name}";\nAPT::Architectures { "${name}"; };\n`
}

/** `sources`: instead of the system's own, by the names of their files. */
const make = Effect.fnUntraced(function* (name: string, settled: string, sources?: ReadonlyMap<string, string>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* Cache.entry(name, [settled, ...(sources ?? []).values()].flat(), (folder) =>
    Effect.gen(function* () {
      yield* fs.makeDirectory(path.join(folder, "lists", "partial"), { recursive: true })
      yield* fs.makeDirectory(path.join(folder, "archives", "partial"), { recursive: true })
      yield* fs.writeFileString(path.join(folder, "apt.conf"), settled)
      // Nothing counts as installed, so the answer depends on the sources alone.
      yield* fs.writeFileString(path.join(folder, "status"), "")
      yield* fs.makeDirectory(path.join(folder, "sources"))
      for (const [file, text] of sources ?? []) yield* fs.writeFileString(path.join(folder, "sources", file), text)
    }).pipe(Effect.mapError(unusable))
  )
  const settings = {
    "Dir::State": folder,
    "Dir::State::lists": path.join(folder, "lists"),
    "Dir::State::status": path.join(folder, "status"),
    "Dir::Cache": folder,
    "Dir::Cache::archives": path.join(folder, "archives"),
    "Dir::Cache::pkgcache": "pkgcache.bin",
    "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
    ...(sources && {
      "Dir::Etc::sourcelist": "/dev/null",
      "Dir::Etc::sourceparts": path.join(folder, "sources")
    })
  }
  return {
    options: [
      `--config-file=${path.join(folder, "apt.conf")}`,
      ...Object.entries(settings).map(([key, value]) => `--option=${key}=${value}`)
    ],
    lock: path.join(folder, "lists.lock")
  } satisfies AptState
})

export const ofPackages = Effect.flatMap(Architecture.Target, (target) => make("apt", configurationFor(target)))

/** apt's two ways to write down sources, asking for source code instead of packages. */
export const asSource: Readonly<Record<string, (text: string) => string>> = {
  ".list": (text) => text.replaceAll(/^[ \t]*deb(?=[ \t])/gm, "deb-src"),
  ".sources": (text) => text.replaceAll(/^Types:.*$/gim, "Types: deb-src")
}

const systemSources = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* Effect.orElseSucceed(fs.readDirectory("/etc/apt/sources.list.d"), () => [])
  const files = ["/etc/apt/sources.list", ...names.toSorted().map((name) => `/etc/apt/sources.list.d/${name}`)]
  const found = yield* Effect.forEach(files, (file) => {
    const converted = asSource[path.extname(file)]
    return converted === undefined
      ? Effect.succeed([])
      : fs.readFileString(file).pipe(
          Effect.map((text) => [[path.basename(file), converted(text)] as const]),
          Effect.orElseSucceed(() => [])
        )
  })
  return new Map(found.flat())
})

/** The system's sources need not ask for source code, which is a long list, and the same for all architectures. */
export const ofSources = Effect.flatMap(systemSources, (sources) => make("apt-source", configuration, sources))

/** Fetches the lists anew, and gives what apt complained about. */
export const update = Effect.fnUntraced(function* ({ options, lock }: AptState) {
  yield* Cache.lock(lock)
  const { stderrTail } = yield* run(Command.make("apt-get", ...options, "-q", "update"))
  return stderrTail
}, Effect.scoped)

export const unavailable = (subject: string, complaints: string) =>
  new GuestError({
    reason: "PackageUnavailable",
    subject,
    hint: "check the network and the system's package sources: `apt-get update` must work and `apt-cache policy` must know the package",
    cause: complaints
  })

export const unusable = (cause: unknown) =>
  new GuestError({
    reason: "CacheUnusable",
    subject: "apt's working folder",
    hint: "check that CAPSA_CACHE_DIR and the temporary folder are writable and have space",
    cause
  })
