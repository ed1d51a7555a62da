/** Locks that the kernel gives back when their holder dies, however it dies: `flock` of the C library. */
import { dlopen } from "bun:ffi"
import * as Context from "effect/Context"
import * as Either from "effect/Either"
import { NativeError } from "./NativeError.ts"

/** Any number may hold it `shared`, or one `exclusive`. @category models */
export type LockMode = "shared" | "exclusive"

/** Takes a lock on an open file or folder, or changes the one held through it; tells whether it could be had at once. */
type TryLock = (descriptor: number, mode: LockMode) => boolean

/** The C library under the names it has on macOS, with glibc and with musl. */
const libraries = process.platform === "darwin" ? ["libSystem.B.dylib"] : ["libc.so.6", "libc.so"]

/** `LOCK_SH` and `LOCK_EX`, with `LOCK_NB`: the call never waits. */
const operations: Record<LockMode, number> = { shared: 1 | 4, exclusive: 2 | 4 }

/** `flock` takes two numbers, touches no memory of ours, and answers a descriptor that is none with an error. */
const symbols = { flock: { args: ["i32", "i32"], returns: "i32" } } as const

const open = (): Either.Either<TryLock, NativeError> =>
  libraries
    .reduce<Either.Either<ReturnType<typeof openLibrary>, unknown>>(
      (found, name) => Either.orElse(found, () => Either.try(() => openLibrary(name))),
      Either.left("this system is not known")
    )
    .pipe(
      Either.mapBoth({
        onLeft: (cause) =>
          new NativeError({ status: "LibraryMissing", detail: String(cause), subject: libraries.join(", ") }),
        onRight:
          ({ symbols: { flock } }) =>
          (descriptor, mode) =>
            flock(descriptor, operations[mode]) === 0
      })
    )

const openLibrary = (name: string) => dlopen(name, symbols)

/**
 * A lock belongs to the open file, not to the process or the path: it outlives a rename, children that Bun starts do not
 * inherit it, and it is gone once its descriptor is closed, which the kernel does for a process that is killed. The C
 * library is opened on first use.
 *
 * @category references
 */
export class FileLock extends Context.Reference<FileLock>()("@capsa/native/FileLock", { defaultValue: open }) {}
