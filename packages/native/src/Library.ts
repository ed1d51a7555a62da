/** Finding, opening and checking the C library. */
import { dlopen } from "bun:ffi"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { abiVersion, firstDifference, makeErrorBuffer } from "./internal/layout.ts"
import { symbols } from "./internal/symbols.ts"
import { fromRecord, NativeError } from "./NativeError.ts"

const openLibrary = (path: string) => dlopen(path, symbols)

/** The functions of capsa.h. @category models */
export type Functions = ReturnType<typeof openLibrary>["symbols"]

/** An open instance of the library. @category models */
export interface Library {
  readonly call: Functions
  /** `struct capsa *`, valid while the scope is open. */
  readonly instance: bigint
  /** Readable while machines have something to drain; the library's own. */
  readonly wakeFd: number
}

/** Where the library is built in a checkout. `CAPSA_LIBRARY` names another. */
const builtLibrary = new URL("../../../native/build/libcapsa.so", import.meta.url).pathname

const path = Config.string("CAPSA_LIBRARY").pipe(Config.option, Config.map(Option.getOrElse(() => builtLibrary)))

const loadFrom = (path: string) =>
  Effect.try({
    try: () => openLibrary(path),
    catch: (cause) => new NativeError({ status: "LibraryMissing", detail: String(cause), subject: path })
  })

const mismatch = (path: string, field: string) =>
  new NativeError({
    status: "LibraryMismatch",
    detail: "the native library does not fit this version of capsa",
    subject: path,
    field
  })

const libraryLayout = (call: Functions): string => {
  const bytes = new Uint8Array(call.capsa_layout(null, 0))
  call.capsa_layout(bytes, bytes.byteLength)
  return new TextDecoder().decode(bytes)
}

const verify = (path: string, call: Functions) =>
  Effect.suspend(() => {
    const version = call.capsa_abi_version()
    if (version !== abiVersion) return Effect.fail(mismatch(path, `version ${version}, not ${abiVersion}`))
    const difference = firstDifference(libraryLayout(call))
    return difference === undefined ? Effect.void : Effect.fail(mismatch(path, difference))
  })

const openInstance = (call: Functions) =>
  Effect.suspend(() => {
    const out = new BigUint64Array(1)
    const error = makeErrorBuffer()
    const instance = () => out[0] ?? 0n
    return call.capsa_open(out, error.bytes) === 0 ? Effect.sync(instance) : Effect.fail(fromRecord(error.read()))
  })

/**
 * The functions of the library, which is checked and stays loaded.
 *
 * @category constructors
 */
export const load: Effect.Effect<Functions, NativeError> = Effect.gen(function* () {
  const file = yield* Effect.orDie(path)
  const { symbols: call } = yield* loadFrom(file)
  yield* verify(file, call)
  return call
})

/**
 * Opens the library and an instance of it. The scope's end closes the instance, for which every machine must be
 * released by then; the library itself stays loaded, as its code may be on a thread's stack until the process ends.
 *
 * @category constructors
 */
export const open: Effect.Effect<Library, NativeError, Scope.Scope> = Effect.gen(function* () {
  const call = yield* load
  const instance = yield* Effect.acquireRelease(openInstance(call), (instance) =>
    Effect.sync(() => call.capsa_close(instance))
  )
  return { call, instance, wakeFd: call.capsa_wake_fd(instance) }
})
