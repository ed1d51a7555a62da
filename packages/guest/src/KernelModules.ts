/**
 * Kernel modules picked from an unpacked kernel package, in the order in which they load.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { GuestError } from "./GuestError.ts"
import { output } from "./internal/run.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface KernelModule {
  readonly name: string
  /** The module itself, never compressed. */
  readonly content: Uint8Array
  readonly depends: ReadonlyArray<string>
}

/**
 * The modules `names` below `folder` (`lib/modules/RELEASE` of a kernel package) and all that they depend on, each
 * after its dependencies. A name that has no module is left out: that kernel has it built in, or not at all.
 *
 * @since 0.1.0
 * @category modules
 */
export const closure = Effect.fn("KernelModules.closure")(function* (folder: string, names: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const files = yield* Effect.mapError(fs.readDirectory(folder, { recursive: true }), unreadable(folder))
  const known = new Map(
    files.flatMap((file) => {
      const name = /^(.+)\.ko(\.xz|\.zst|\.gz)?$/.exec(path.basename(file))?.[1]
      return name === undefined ? [] : [[canonical(name), path.join(folder, file)] as const]
    })
  )
  const loaded = new Map<string, KernelModule>()
  const pending = names.map(canonical)
  while (pending.length > 0) {
    const name = pending.shift() ?? ""
    const file = known.get(name)
    if (file === undefined || loaded.has(name)) continue
    const content = yield* read(file)
    const depends = dependencies(content).map(canonical)
    loaded.set(name, { name, content, depends })
    pending.push(...depends)
  }
  return inLoadOrder(loaded)
})

/** The kernel takes `-` and `_` in a module's name for the same. */
const canonical = (name: string) => name.replaceAll("-", "_")

const read = Effect.fnUntraced(function* (file: string) {
  const fs = yield* FileSystem.FileSystem
  const tool = decompressors.find(([extension]) => file.endsWith(extension))?.[1]
  if (tool !== undefined) return new Uint8Array(yield* output(Command.make(tool, "--decompress", "--stdout", file)))
  return yield* Effect.mapError(fs.readFile(file), unreadable(file))
})

const decompressors = [
  [".xz", "xz"],
  [".zst", "zstd"],
  [".gz", "gzip"]
] as const

/** The names in the `depends` field of the module's `.modinfo` section, a list of NUL-terminated `key=value`. */
const dependencies = (content: Uint8Array): ReadonlyArray<string> => {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  const key = bytes.indexOf("\0depends=")
  if (key < 0) return []
  const value = key + "\0depends=".length
  return bytes
    .toString("latin1", value, bytes.indexOf(0, value))
    .split(",")
    .filter((name) => name !== "")
}

const inLoadOrder = (modules: ReadonlyMap<string, KernelModule>): ReadonlyArray<KernelModule> => {
  const ordered = new Set<KernelModule>()
  const visit = (name: string) => {
    const module = modules.get(name)
    if (module === undefined || ordered.has(module)) return
    module.depends.forEach(visit)
    ordered.add(module)
  }
  for (const name of modules.keys()) visit(name)
  return [...ordered]
}

const unreadable = (subject: string) => (cause: unknown) =>
  new GuestError({
    reason: "BuildFailed",
    subject: `reading ${subject}`,
    hint: "the cached kernel may be damaged: delete its folder and build again",
    cause
  })
