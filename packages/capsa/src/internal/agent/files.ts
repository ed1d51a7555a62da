/** Files of the guest. */
import { SandboxError } from "@capsa/core"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { FileEntry, FileOptions, InputSource, SandboxFiles } from "../../Sandbox.ts"
import * as Call from "./call.ts"
import { outOfProtocol } from "./failures.ts"
import { makeSplitter } from "./frames.ts"
import { decode, type Value } from "./msgpack.ts"
import { feed } from "./processes.ts"
import type { Session } from "./session.ts"

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** Names are bytes: those that are not UTF-8 become U+FFFD. */
const Name = Schema.transform(Schema.Uint8ArrayFromSelf, Schema.String, {
  strict: true,
  decode: (bytes) => utf8.decode(bytes),
  encode: (name) => new TextEncoder().encode(name)
})

const Entry = Schema.Struct({
  name: Name,
  type: Schema.Literal("file", "folder", "link", "fifo", "socket", "device"),
  size: Schema.NonNegativeInt,
  mode: Schema.NonNegativeInt,
  uid: Schema.NonNegativeInt,
  gid: Schema.NonNegativeInt,
  modifiedMs: Schema.Int,
  target: Schema.optional(Name)
})

/** Without what was not said. */
const params = (all: Readonly<Record<string, Value | undefined>>): Value =>
  Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Value] => entry[1] !== undefined))

/** The answer of work that the agent does itself. */
export const resultOf = <A, I>(
  { outcome }: Pick<Call.Call, "outcome">,
  schema: Schema.Schema<A, I>
): Effect.Effect<A, SandboxError> =>
  Effect.flatMap(outcome, (ended) =>
    Effect.mapError(Schema.decodeUnknown(schema)(ended._tag === "Result" ? ended.value : undefined), () =>
      outOfProtocol("gave a result that is none")
    )
  )

/** Asks for something, and waits for the answer. */
export const ask = <A, I>(session: Session, method: string, asked: Value, schema: Schema.Schema<A, I>) =>
  Effect.scoped(Effect.flatMap(Call.make(session, method, asked), (call) => resultOf(call, schema)))

/** What the guest sends; fails as the work on it does, also after the last byte. */
const download = (session: Session, method: string, asked: Value): Stream.Stream<Uint8Array, SandboxError> =>
  Stream.unwrapScoped(
    Effect.map(Call.make(session, method, asked), (call) =>
      Stream.concat(call.outputs[0], Stream.drain(Stream.fromEffect(call.outcome)))
    )
  )

/** Sends what the guest takes, and waits for its answer. */
export const upload = <A, I>(
  session: Session,
  method: string,
  asked: { readonly [name: string]: Value | undefined },
  data: InputSource,
  schema: Schema.Schema<A, I>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const call = yield* Call.make(session, method, params({ ...asked, stdin: true }))
      const answer = resultOf(call, schema)
      // A failure of the guest says more than that it takes no more.
      const [result] = yield* Effect.all([answer, Effect.raceFirst(feed(call.input, data), Effect.asVoid(answer))], {
        concurrency: 2
      })
      return result
    })
  )

/** The answer of work that has none. */
export const Nothing = Schema.Struct({})

/** What a guest makes the host hold at a time. */
const wholeBytesMax = 1024 * 1024 * 1024
const entriesMax = 1_000_000

const readAll = (path: string, stream: Stream.Stream<Uint8Array, SandboxError>) =>
  stream.pipe(
    Stream.mapAccumEffect(0, (before, bytes) => {
      const length = before + bytes.length
      return length > wholeBytesMax ? Effect.fail(tooLarge(path)) : Effect.succeed([length, bytes] as const)
    }),
    Stream.runCollect,
    Effect.map((pieces): Uint8Array => Buffer.concat(Chunk.toReadonlyArray(pieces)))
  )

const tooLarge = (subject: string): SandboxError =>
  new SandboxError({
    reason: "FileFailed",
    subject,
    errno: "EFBIG",
    detail: "The file, or the list, is too long to be held whole: more than 1 GiB, or a million entries",
    hint: "Take it piece by piece, with `files.stream`."
  })

export const make = (session: Session): SandboxFiles => {
  const told = (method: string, asked: Readonly<Record<string, Value | undefined>>) =>
    Effect.asVoid(ask(session, method, params(asked), Nothing))
  const stream: SandboxFiles["stream"] = (path, { length, offset, user } = {}) =>
    download(session, "read", params({ path, offset, length, user })).pipe(Stream.withSpan("Sandbox.files.stream"))
  const stat: SandboxFiles["stat"] = (path, { follow = true, user } = {}) =>
    ask(session, "stat", params({ path, follow, user }), Entry)
  const read: SandboxFiles["read"] = (path, options) => readAll(path, stream(path, options))

  return {
    read: Effect.fn("Sandbox.files.read")(read),
    readText: Effect.fn("Sandbox.files.readText")((path, options) =>
      Effect.map(read(path, options), (bytes) => new TextDecoder().decode(bytes))
    ),
    stream,
    write: Effect.fn("Sandbox.files.write")((path, data, { append, mode, user } = {}) =>
      Effect.asVoid(upload(session, "write", { path, append, mode, user }, data, Nothing))
    ),
    list: Effect.fn("Sandbox.files.list")((path, options = {}) => list(session, path, options)),
    stat: Effect.fn("Sandbox.files.stat")(stat),
    exists: Effect.fn("Sandbox.files.exists")((path, options) =>
      stat(path, options).pipe(
        Effect.as(true),
        Effect.catchIf(
          ({ errno }) => errno === "ENOENT" || errno === "ENOTDIR",
          () => Effect.succeed(false)
        )
      )
    ),
    mkdir: Effect.fn("Sandbox.files.mkdir")((path, { mode, recursive, user } = {}) =>
      told("mkdir", { path, mode, recursive, user })
    ),
    remove: Effect.fn("Sandbox.files.remove")((path, { force, recursive, user } = {}) =>
      told("remove", { path, force, recursive, user })
    ),
    rename: Effect.fn("Sandbox.files.rename")((from, to, { user } = {}) => told("rename", { from, to, user })),
    pack: (path, { user } = {}) =>
      download(session, "pack", params({ path, user })).pipe(Stream.withSpan("Sandbox.files.pack")),
    unpack: Effect.fn("Sandbox.files.unpack")((path, archive, { user } = {}) =>
      Effect.asVoid(upload(session, "unpack", { path, user }, archive, Nothing))
    )
  }
}

/** Entries come as frames, in pieces of any size. */
const list = (session: Session, path: string, { user }: FileOptions) =>
  Effect.suspend(() => {
    const splitter = makeSplitter()
    const entries: Array<FileEntry> = []
    const take = (piece: Uint8Array): Effect.Effect<void, SandboxError> =>
      Either.match(splitter.feed(piece), {
        onLeft: () => Effect.fail(badList),
        onRight: (bodies) =>
          Effect.forEach(
            bodies,
            (body) =>
              Effect.flatMap(
                Effect.mapError(Effect.flatMap(decode(body), decodeEntry), () => badList),
                (entry) => (entries.push(entry) > entriesMax ? Effect.fail(tooLarge(path)) : Effect.void)
              ),
            { discard: true }
          )
      })
    return Stream.runForEach(download(session, "list", params({ path, user })), take).pipe(
      Effect.filterOrFail(
        () => splitter.atEdge(),
        () => badList
      ),
      Effect.as(entries)
    )
  })

const decodeEntry = Schema.decodeUnknown(Entry)
const badList = outOfProtocol("sent a list of files that is none")
