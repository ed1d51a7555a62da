/** Where entries of an archive go on the host: below one folder, whatever their names are. */
import { mkdir } from "node:fs/promises"
import { SandboxError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { doing, type Folder, flags, join, nameIn, openFolder, type Path } from "./hostFiles.ts"

/** A name in an open folder; `path` is for errors. */
export interface Place {
  readonly folder: Folder
  readonly name: Uint8Array
  readonly path: Path
}

export interface Places {
  /** The folder that the caller named, which may be a link to one; made if it is not there. */
  readonly root: Effect.Effect<Folder, SandboxError>
  /** What the caller named, as a name in its folder. */
  readonly rootItself: Effect.Effect<Place, SandboxError>
  /** The folder with this path below the root, reached through no link; made if it is not there. */
  readonly folder: (path: Uint8Array) => Effect.Effect<Folder, SandboxError>
  /** Until the next one is asked for. */
  readonly place: (path: Uint8Array) => Effect.Effect<Place, SandboxError>
  /** As long as the scope. */
  readonly placeApart: (path: Uint8Array) => Effect.Effect<Place, SandboxError, Scope.Scope>
}

const slash = 0x2f
const dot = Buffer.from(".")
const dots = Buffer.from("..")

/** The names of a path below a root; undefined if one leads up. Without any it is the root itself. */
export const namesIn = (path: Uint8Array): ReadonlyArray<Uint8Array> | undefined => {
  if (path[0] === slash) return undefined
  const names: Array<Uint8Array> = []
  for (let at = 0; at < path.length; ) {
    const found = path.indexOf(slash, at)
    const end = found < 0 ? path.length : found
    const name = path.subarray(at, end)
    at = end + 1
    if (dots.equals(name)) return undefined
    if (name.length > 0 && !dot.equals(name)) names.push(name)
  }
  return names
}

export const unsafe = (path: Uint8Array, why: string): SandboxError =>
  new SandboxError({
    reason: "UnsafeArchive",
    subject: Buffer.from(path).toString(),
    detail: `An entry of the archive may not be unpacked: ${why}`,
    hint: "Whoever made the archive may mean harm. What came before the entry was unpacked."
  })

export const hasErrno =
  (...codes: ReadonlyArray<string>) =>
  ({ errno }: SandboxError): boolean =>
    errno !== undefined && codes.includes(errno)

/** Folders stay open as long as the scope, or until another one is asked for. */
export const make = Effect.fnUntraced(function* (target: Path) {
  const scope = yield* Effect.scope
  let opened: Folder | undefined
  // Members of a folder follow each other: that of the last one is kept open.
  let last: { readonly key: string; readonly folder: Folder; readonly scope: Scope.CloseableScope } | undefined

  const makeRoot = doing("mkdir", target, () => mkdir(target, { mode: 0o755 })).pipe(
    Effect.catchIf(hasErrno("EEXIST"), () => Effect.void),
    Effect.zipRight(openFolder(target, target, flags.anyFolder)),
    Scope.extend(scope)
  )
  const root = Effect.suspend(() =>
    opened === undefined
      ? Effect.tap(makeRoot, (folder) => {
          opened = folder
        })
      : Effect.succeed(opened)
  )
  const enter = (parent: Folder, name: Uint8Array, path: Uint8Array) => {
    const inside = nameIn(parent, name)
    const shown = join(parent.path, name)
    const entering = openFolder(inside, shown, flags.folder)
    return entering.pipe(
      Effect.catchIf(hasErrno("ENOENT"), () =>
        Effect.zipRight(
          doing("mkdir", shown, () => mkdir(inside, { mode: 0o755 })),
          entering
        )
      ),
      Effect.catchIf(hasErrno("ENOTDIR", "ELOOP"), () => Effect.fail(unsafe(path, "its folder is a link or a file")))
    )
  }
  const walk = Effect.fnUntraced(function* (names: ReadonlyArray<Uint8Array>, path: Uint8Array) {
    let folder = yield* root
    for (const name of names) folder = yield* enter(folder, name, path)
    return folder
  })
  const below = (names: ReadonlyArray<Uint8Array>, path: Uint8Array) =>
    Effect.gen(function* () {
      const key = names.map((name) => Buffer.from(name).toString("latin1")).join("/")
      if (last?.key === key) return last.folder
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const folder = yield* Scope.extend(walk(names, path), own)
      // Whoever is interrupted on the way leaves the rest of them open.
      if (last !== undefined) yield* Effect.uninterruptible(Scope.close(last.scope, Exit.void))
      last = { key, folder, scope: own }
      return folder
    })
  const named = (path: Uint8Array) => {
    const names = namesIn(path)
    return names === undefined ? Effect.fail(unsafe(path, "its name leads out of the folder")) : Effect.succeed(names)
  }
  const placeBy = <R>(
    reach: (names: ReadonlyArray<Uint8Array>, path: Uint8Array) => Effect.Effect<Folder, SandboxError, R>
  ) =>
    Effect.fnUntraced(function* (path: Uint8Array) {
      const names = yield* named(path)
      const name = names.at(-1)
      if (name === undefined) return yield* unsafe(path, "it would replace the folder itself")
      const folder = yield* reach(names.slice(0, -1), path)
      return { folder, name, path: join(folder.path, name) } satisfies Place
    })
  const rootItself = Effect.suspend(() => {
    const cut = target.lastIndexOf(slash)
    const parent = cut < 0 ? dot : cut === 0 ? target.subarray(0, 1) : target.subarray(0, cut)
    return Effect.map(
      Scope.extend(openFolder(parent, parent, flags.anyFolder), scope),
      (folder): Place => ({ folder, name: target.subarray(cut + 1), path: target })
    )
  })
  return {
    root,
    rootItself,
    place: placeBy(below),
    placeApart: placeBy(walk),
    folder: (path) => Effect.flatMap(named(path), (names) => below(names, path))
  } satisfies Places
})
