/** Files and folders between host and guest, as archives. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Agent } from "../../Sandbox.ts"
import * as Call from "./call.ts"
import * as Files from "./files.ts"
import * as HostPack from "./hostPack.ts"
import * as HostUnpack from "./hostUnpack.ts"
import type { Session } from "./session.ts"

const Unpacked = Schema.Struct({ entries: Schema.NonNegativeInt })
const Packed = Schema.Struct({ entries: Schema.NonNegativeInt, skipped: Schema.NonNegativeInt })

export const make = (session: Session): Pick<Agent, "copyIn" | "copyOut"> => ({
  copyIn: Effect.fn("Sandbox.copyIn")(function* (host, guest, { user } = {}) {
    const { archive, copied } = yield* HostPack.pack(host)
    yield* Files.upload(session, "unpack", { path: guest, user }, archive, Unpacked)
    return copied()
  }, Effect.scoped),
  copyOut: Effect.fn("Sandbox.copyOut")(function* (guest, host, { user } = {}) {
    const call = yield* Call.make(session, "pack", { path: guest, ...(user === undefined ? {} : { user }) })
    const told = Files.resultOf(call, Packed)
    // What the guest could not pack says more than an archive without an end.
    const archive = Stream.concat(call.outputs[0], Stream.drain(Stream.fromEffect(told)))
    yield* HostUnpack.unpack(host, archive)
    return yield* told
  }, Effect.scoped)
})
