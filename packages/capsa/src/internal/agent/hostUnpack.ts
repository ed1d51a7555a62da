/**
 * An archive of the guest's as a file or folder of the host. Whoever made it may mean harm: what is no file, folder or link
 * is refused, and no file gets a privilege.
 */
import { type FileHandle, link, lutimes, mkdir, symlink, unlink } from "node:fs/promises"
import type { SandboxError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { outOfProtocol } from "./failures.ts"
import { doing, flags, nameIn, opened, type Path, statusOf } from "./hostFiles.ts"
import { hasErrno, make as makePlaces, namesIn, type Place, type Places, unsafe } from "./hostPlaces.ts"
import * as TarRead from "./tarRead.ts"
import type { TarEntry } from "./tarWrite.ts"

const permissions = 0o777
/** More than any tree that is copied for a reason; what is known of folders until the end is kept. */
const entriesMax = 1_000_000

/** Takes an archive; gives the number of its entries. */
export const unpack = Effect.fnUntraced(function* (to: string, archive: Stream.Stream<Uint8Array, SandboxError>) {
  const places = yield* makePlaces(Buffer.from(to.replace(/(?<=.)\/+$/, "")))
  const writer = yield* makeWriter(places)
  const reader = TarRead.make()
  yield* Stream.runForEach(archive, (piece) =>
    Either.match(reader.feed(piece), {
      onLeft: ({ why }) => Effect.fail(outOfProtocol(`sent an archive that is none: ${why}`)),
      onRight: (events) => Effect.forEach(events, writer.on, { discard: true })
    })
  )
  if (!reader.atEnd()) return yield* outOfProtocol("sent an archive without an end")
  return yield* writer.finish
}, Effect.scoped)

/** A file that is being written. */
interface Writing {
  readonly file: FileHandle
  readonly entry: TarEntry
  readonly path: Path
  readonly scope: Scope.CloseableScope
}

const makeWriter = Effect.fnUntraced(function* (places: Places) {
  const scope = yield* Effect.scope
  const folders: Array<TarEntry> = []
  let writing: Writing | undefined
  let single = false
  let entries = 0

  const beginFile = (entry: TarEntry, { folder, name, path }: Place) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const file = yield* Scope.extend(opened(nameIn(folder, name), path, flags.create, 0o600), own)
      writing = { file, entry, path, scope: own }
    })
  const endFile = ({ entry: { mode, seconds }, file, path, scope }: Writing) =>
    Effect.gen(function* () {
      yield* doing("mode", path, () => file.chmod(mode & permissions))
      yield* doing("time", path, () => file.utimes(seconds, seconds))
      yield* Scope.close(scope, Exit.void)
      writing = undefined
    })
  const make = (entry: TarEntry, place: Place): Effect.Effect<void, SandboxError> => {
    switch (entry.type) {
      case "file":
        return Effect.zipRight(makeWay(place), beginFile(entry, place))
      case "link":
        return Effect.zipRight(makeWay(place), makeLink(entry, place))
      case "hardLink":
        return Effect.zipRight(makeWay(place), makeHardLink(places, entry, place))
      case "folder":
        folders.push(entry)
        return makeFolder(entry, place)
      default:
        return Effect.fail(unsafe(entry.path, "it is a device, a pipe, or of a type that is not known"))
    }
  }
  const makeRoot = (entry: TarEntry): Effect.Effect<void, SandboxError> => {
    if (entry.type === "folder") {
      folders.push(entry)
      return places.root
    }
    if (entries > 1) return Effect.fail(unsafe(entry.path, "it would replace the folder itself"))
    // Who reads what was copied, or copies there again, would follow it.
    if (entry.type === "link") return Effect.fail(unsafe(entry.path, "it would make the place itself a link"))
    single = true
    return Effect.flatMap(places.rootItself, (place) => make(entry, place))
  }
  const begin = (entry: TarEntry): Effect.Effect<void, SandboxError> => {
    entries++
    if (single) return Effect.fail(unsafe(entry.path, "it comes after a file that is all of the archive"))
    if (entries > entriesMax) return Effect.fail(unsafe(entry.path, `there are more than ${entriesMax} entries`))
    return namesIn(entry.path)?.length === 0
      ? makeRoot(entry)
      : Effect.flatMap(places.place(entry.path), (place) => make(entry, place))
  }
  return {
    on: (event: TarRead.TarEvent): Effect.Effect<void, SandboxError> =>
      Effect.suspend(() => {
        if (event._tag === "Entry") return begin(event.entry)
        if (writing === undefined) return Effect.void
        if (event._tag === "EntryEnd") return endFile(writing)
        return event._tag === "Content" ? writeAll(writing, event.bytes) : Effect.void
      }),
    /** From the last folder on: what is inside comes before what it is in. */
    finish: Effect.suspend(() =>
      Effect.forEach(folders.toReversed(), ({ mode, path, seconds }) =>
        Effect.flatMap(places.folder(path), ({ handle, path }) =>
          Effect.zipRight(
            doing("mode", path, () => handle.chmod(mode & permissions)),
            doing("time", path, () => handle.utimes(seconds, seconds))
          )
        )
      )
    ).pipe(Effect.map(() => entries))
  }
})

const writeAll = (to: Pick<Writing, "file" | "path">, bytes: Uint8Array): Effect.Effect<void, SandboxError> =>
  Effect.flatMap(
    doing("write", to.path, () => to.file.write(bytes)),
    ({ bytesWritten }) => (bytesWritten < bytes.length ? writeAll(to, bytes.subarray(bytesWritten)) : Effect.void)
  )

/** Nothing but a folder may stand in the way. */
const makeWay = ({ folder, name, path }: Place) =>
  Effect.catchIf(
    doing("remove", path, () => unlink(nameIn(folder, name))),
    hasErrno("ENOENT"),
    () => Effect.void
  )

/** Where it leads does not matter: nothing here goes through links. */
const makeLink = ({ seconds, target }: TarEntry, { folder, name, path }: Place) =>
  Effect.zipRight(
    doing("link", path, () => symlink(Buffer.from(target), nameIn(folder, name))),
    doing("time", path, () => lutimes(nameIn(folder, name), seconds, seconds))
  )

/** The other name must be one of this archive's files. */
const makeHardLink = (places: Places, entry: TarEntry, to: Place) =>
  Effect.gen(function* () {
    const from = yield* places.placeApart(entry.target)
    const source = nameIn(from.folder, from.name)
    if (!(yield* statusOf(source)).isFile()) return yield* unsafe(entry.path, "it is another name of what is no file")
    yield* doing("link", to.path, () => link(source, nameIn(to.folder, to.name)))
  }).pipe(Effect.scoped)

const makeFolder = (entry: TarEntry, { folder, name, path }: Place) =>
  Effect.catchIf(
    doing("mkdir", path, () => mkdir(nameIn(folder, name), { mode: 0o700 })),
    hasErrno("EEXIST"),
    () =>
      Effect.flatMap(statusOf(nameIn(folder, name)), (status) =>
        status.isDirectory() ? Effect.void : Effect.fail(unsafe(entry.path, "a link or a file is in its place"))
      )
  )
