/** A file or folder of the host as an archive. The root of it is called ".". */

import type { Stats } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { readdir, readlink } from "node:fs/promises"
import { SandboxError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Copied } from "../../Sandbox.ts"
import { doing, flags, join, opened, type Path, statusOf } from "./hostFiles.ts"
import { end, headerOf, nothing, padding, type TarEntry } from "./tarWrite.ts"

/** What is sent at a time. */
const batchBytes = 128 * 1024
const readBytes = 64 * 1024

interface Pending {
  readonly path: Path
  readonly name: Uint8Array
}

/** A file whose content is being sent. */
interface Reading {
  readonly file: FileHandle
  readonly path: Path
  readonly scope: Scope.CloseableScope
  readonly size: number
  left: number
}

/** The archive, and how much was in it by then. */
export const pack = Effect.fnUntraced(function* (root: string) {
  const scope = yield* Effect.scope
  const pending: Array<Pending> = [{ path: Buffer.from(root), name: Buffer.from(".") }]
  const copied = { entries: 0, skipped: 0 }
  let reading: Reading | undefined
  let ended = false

  const headerFor = (type: TarEntry["type"], { name }: Pending, status: Stats, target: Uint8Array = nothing) => {
    copied.entries++
    return headerOf({
      type,
      path: name,
      target,
      mode: status.mode & 0o7777,
      size: type === "file" ? status.size : 0,
      seconds: Math.floor(status.mtimeMs / 1000)
    })
  }
  const beginFile = (at: Pending) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const file = yield* Scope.extend(opened(at.path, at.path, flags.read), own)
      const status = yield* doing("stat", at.path, () => file.stat())
      reading = { file, path: at.path, scope: own, size: status.size, left: status.size }
      return headerFor("file", at, status)
    })
  const beginFolder = (at: Pending, status: Stats) =>
    Effect.map(
      doing("list", at.path, () => readdir(at.path, { encoding: "buffer" })),
      (names) => {
        for (const name of names.toSorted(Buffer.compare).toReversed()) {
          pending.push({ path: join(at.path, name), name: join(Buffer.from(at.name), name) })
        }
        return headerFor("folder", at, status)
      }
    )
  const begin = (at: Pending): Effect.Effect<Uint8Array, SandboxError> =>
    Effect.flatMap(statusOf(at.path), (status) => {
      if (status.isFile()) return beginFile(at)
      if (status.isDirectory()) return beginFolder(at, status)
      if (status.isSymbolicLink()) {
        return Effect.map(
          doing("read", at.path, () => readlink(at.path, { encoding: "buffer" })),
          (target) => headerFor("link", at, status, target)
        )
      }
      copied.skipped++
      return Effect.succeed(nothing)
    })
  const readOn = (from: Reading): Effect.Effect<Uint8Array, SandboxError> =>
    Effect.gen(function* () {
      if (from.left === 0) {
        reading = undefined
        yield* Effect.uninterruptible(Scope.close(from.scope, Exit.void))
        return padding(from.size)
      }
      const piece = Buffer.allocUnsafe(Math.min(readBytes, from.left))
      const { bytesRead } = yield* doing("read", from.path, () => from.file.read(piece, 0, piece.length))
      // One that grows meanwhile is cut off; of one that shrinks the size has been told already.
      if (bytesRead === 0) return yield* shrunk(from.path)
      from.left -= bytesRead
      return piece.subarray(0, bytesRead)
    })
  const step: Effect.Effect<Uint8Array, SandboxError> = Effect.suspend(() => {
    if (reading !== undefined) return readOn(reading)
    const next = pending.pop()
    if (next !== undefined) return begin(next)
    ended = true
    return Effect.succeed(end)
  })
  const batch: Effect.Effect<Uint8Array, Option.Option<SandboxError>> = Effect.gen(function* () {
    if (ended) return yield* Effect.fail(Option.none())
    const pieces: Array<Uint8Array> = []
    for (let length = 0; length < batchBytes && !ended; ) {
      const piece = yield* Effect.asSomeError(step)
      pieces.push(piece)
      length += piece.length
    }
    return Buffer.concat(pieces)
  })
  return { archive: Stream.repeatEffectOption(batch), copied: (): Copied => ({ ...copied }) }
})

const shrunk = (path: Path) =>
  new SandboxError({
    reason: "HostFileFailed",
    operation: "read",
    subject: path.toString(),
    detail: "A file became shorter while it was copied",
    hint: "Copy it when nobody writes to it."
  })
