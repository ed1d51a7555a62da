/** Devices of the C library for a machine that another monitor runs: see `Native.serve`. */
import * as Effect from "effect/Effect"
import { load } from "./Library.ts"
import type { NativeError } from "./NativeError.ts"

export { deviceCount, type Service, type ServicePlan } from "./internal/service.ts"

/**
 * Fails where nothing could be served: the library is not there, or does not fit.
 *
 * @category getters
 */
export const check: Effect.Effect<void, NativeError> = Effect.asVoid(load)
