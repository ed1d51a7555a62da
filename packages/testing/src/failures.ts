/** Tests that every reason of an error comes from its real cause, and is told so that people know what to do. */
import { expect } from "bun:test"
import { join } from "node:path"
import * as Failure from "@capsa/core/Failure"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { live } from "./BunTest.ts"

/** What brings a reason about. @category models */
export interface Cause<E, R> {
  /** Fails with it. */
  readonly happens: Effect.Effect<unknown, E, R>
  /** What its JSON must say beside its reason: at least the file, device or program at fault, where there is one. */
  readonly says?: object
  /** Why this host can't bring it about, if so. */
  readonly skipped?: string | undefined
}

/** Reasons that a guest on QEMU brings about; the test is in `capsa`. */
export const ofGuests = [
  "VmBootError.KernelUnreadable",
  "VmBootError.KernelInvalid",
  "VmBootError.InitrdUnreadable",
  "VmBootError.InitrdInvalid",
  "VmBootError.MemoryInvalid",
  "VmBootError.FirmwareUnavailable",
  "VmBootError.VariablesInUse",
  "VmBootError.ShareUnavailable",
  "VmBootError.NetworkUnavailable",
  "VmBootError.PortUnavailable",
  "VmBootError.HostResources",
  "VmBootError.HostFailure",
  "VmBootError.RootMissing",
  "VmBootError.InitFailed",
  "VmBootError.KernelPanic",
  "VmBootError.GuestEnded",
  "MachineError.NotRunning",
  "MachineError.Unsupported",
  "MachineError.HostFailure"
] as const satisfies ReadonlyArray<Failure.FailureName>

/** Reasons that only the monitor has; the test is in `kvm`. */
export const ofMonitor = ["VmBootError.CmdlineInvalid"] as const satisfies ReadonlyArray<Failure.FailureName>

/** Reasons that limits bring about; the test is in `capsa`. */
export const ofLimits = [
  "VmBootError.LimitsUnavailable",
  "VmBootError.LimitExceeded"
] as const satisfies ReadonlyArray<Failure.FailureName>

/** Reasons that a guest brings about by what it does with vsock; the test is in `capsa`. */
export const ofVsock = [
  "VsockError.NotRunning",
  "VsockError.Refused",
  "VsockError.TimedOut",
  "VsockError.Closed"
] as const satisfies ReadonlyArray<Failure.FailureName>

/** Reasons that have to do with the agent in a guest; the test is in `capsa`. */
export const ofAgent = [
  "SandboxError.Unsupported",
  "SandboxError.VersionSkew",
  "SandboxError.StartFailed",
  "SandboxError.Protocol",
  "SandboxError.Disconnected",
  "SandboxError.Unresponsive",
  "SandboxError.CannotStart",
  "SandboxError.TimeLimit",
  "SandboxError.InputClosed",
  "SandboxError.Busy",
  "SandboxError.FileFailed",
  "SandboxError.HostFileFailed",
  "SandboxError.UnsafeArchive",
  "SandboxError.InvalidInput"
] as const satisfies ReadonlyArray<Failure.FailureName>

/** All others: they need neither a guest nor KVM. */
export type OfHost = Exclude<
  Failure.FailureName,
  (typeof ofGuests | typeof ofMonitor | typeof ofLimits | typeof ofVsock | typeof ofAgent)[number]
>

const page = await Bun.file(join(import.meta.dir, "../../../docs/FAILURES.md")).text()

/**
 * Defines a test for each cause: it must bring about the reason that it stands for. `Name` has all reasons that must be
 * there, so that a missing one does not compile.
 *
 * @category constructors
 */
export const produces = <Name extends string, A extends Failure.Tellable, I, R>(
  schema: Schema.Schema<A, I>,
  causes: Readonly<Record<Name, Cause<unknown, R>>>,
  run: (effect: Effect.Effect<void, unknown, R>) => Effect.Effect<unknown, unknown>,
  { timeoutMs }: { readonly timeoutMs?: number } = {}
): void => {
  for (const [name, { happens, says, skipped }] of Object.entries<Cause<unknown, R>>(causes)) {
    const title = skipped === undefined ? name : `${name} — skipped: ${skipped}`
    const check = Effect.flatMap(Effect.flip(happens), (error) => expectTold(schema, name, error, says))
    live.skipIf(skipped !== undefined)(title, () => run(check), timeoutMs)
  }
}

const expectTold = <A extends Failure.Tellable, I>(
  schema: Schema.Schema<A, I>,
  name: string,
  error: unknown,
  says: object = {}
) =>
  Effect.gen(function* () {
    if (!Schema.is(schema)(error)) throw error
    for (const text of [error.message, error.hint]) expect(text).toMatch(/\S{2,} \S/)
    expect(
      Failure.pretty(error)
        .split("\n")
        .filter((line) => line.startsWith("→ ")).length
    ).toBeGreaterThan(0)
    expect(page).toContain(`<a id="${error.docs.split("#")[1]}"></a>\`${error.reason}\``)
    const data = JSON.stringify(yield* Failure.encode(schema)(error))
    const decoded = yield* Schema.decode(Schema.parseJson(schema))(data)
    expect(decoded.constructor).toBe(error.constructor)
    expect([decoded.message, decoded.hint, decoded.docs]).toEqual([error.message, error.hint, error.docs])
    expect({ name: `${error._tag}.${error.reason}`, data: JSON.parse(data) }).toMatchObject({ name, data: says })
  })
