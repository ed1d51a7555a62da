/** Devices of the C library for a machine that another monitor runs. */
import type { BootPlan } from "@capsa/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Service } from "./internal/service.ts"
import { load } from "./Library.ts"
import { layer, Native } from "./Native.ts"
import type { NativeError } from "./NativeError.ts"

export type { Service } from "./internal/service.ts"

/**
 * Opens the shared folders of a plan and serves them by vhost-user (see `Native.serve`), with an instance of the library
 * that is open for as long as the scope: whoever starts such machines need not keep one.
 *
 * @category constructors
 */
export const serve = (plan: Pick<BootPlan, "memoryMib" | "shares">): Effect.Effect<Service, NativeError, Scope.Scope> =>
  Effect.flatMap(Layer.build(layer), (context) => Context.get(context, Native).serve(plan))

/**
 * Fails where nothing could be served: the library is not there, or does not fit.
 *
 * @category getters
 */
export const check: Effect.Effect<void, NativeError> = Effect.asVoid(load)
