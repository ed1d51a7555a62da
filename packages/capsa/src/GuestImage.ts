/** Where the guest comes from when a configuration names no kernel. */
import type { BuiltinBoot, Capabilities, GuestImages, VmBootError } from "@capsa/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * The built-in guest; provide another to put your own in its place. The default is prepared on first use and kept in the
 * cache folder, and its code is loaded only then.
 *
 * @category references
 */
export class GuestImage extends Context.Reference<GuestImage>()("capsa/GuestImage", {
  defaultValue: (): {
    /** Images that a backend of these capabilities can boot; `guest` where a configuration says which. */
    readonly images: (
      capabilities: Capabilities,
      guest?: BuiltinBoot["guest"]
    ) => Effect.Effect<GuestImages, VmBootError>
  } => ({
    images: (capabilities, guest) =>
      Effect.flatMap(
        Effect.promise(() => import("./BuiltinGuest.ts")),
        (builtin) => builtin.images(capabilities, guest)
      )
  })
}) {}
