/** Holding what a backend does against what it claims. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, type Capabilities, SandboxError, VmConfigError } from "@capsa/core"
import { Feature } from "@capsa/core/Capabilities"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { boots } from "./boots.ts"
import type { Case, Claim, ConformanceGuest, Setting } from "./Case.ts"
import { guests } from "./guests.ts"
import { machines } from "./machines.ts"
import { networks } from "./networks.ts"
import { storage } from "./storage.ts"

/** What the cases need beside a backend. */
export interface Surroundings {
  readonly guest: ConformanceGuest
  /** A TAP device of the host that the machines may use. */
  readonly tapDevice?: string | undefined
}

export const catalogue: ReadonlyArray<Case> = [...machines, ...boots, ...storage, ...networks, ...guests]

/** All that the capabilities claim, but for limits, which always hold. */
const claimsOf = (can: Capabilities): ReadonlySet<Claim> =>
  new Set<Claim>([
    "maxCpus",
    "maxMemoryMib",
    ...can.kernels.map((kind) => `kernels.${kind}` as const),
    ...can.consoles.map((console) => `consoles.${console}` as const),
    ...can.discovery.map((discovery) => `discovery.${discovery}` as const),
    ...(["pause", "powerButton", "panicNotifier"] as const).filter((name) => can[name]),
    ...Feature.literals.filter((name) => can.features[name].supported).map((name) => `features.${name}` as const)
  ])

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-kit-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** A boot of the first kinds that the backend claims and the guest has. */
const bootOf = ({ consoles, discovery, kernels }: Capabilities, guest: ConformanceGuest): Setting["boot"] => ({
  kernel: kernels.toReversed().flatMap((kind) => guest.kernels[kind] ?? [])[0] ?? "",
  initrd: guest.initrd,
  console: consoles[0],
  discovery: discovery[0]
})

class NotAsClaimed extends Data.TaggedError("NotAsClaimed")<{ readonly what: string }> {
  override get message(): string {
    return this.what
  }
}

const isUnsupported = (cause: Cause.Cause<unknown>): boolean =>
  Option.exists(
    Cause.failureOption(cause),
    (error) => (error instanceof VmConfigError || error instanceof SandboxError) && error.reason === "Unsupported"
  )

const isAskedFor = (claim: Claim): boolean => /^(consoles|discovery|features)/.test(claim)

/** Runs a case, and holds how it ends against what is claimed. */
export const judge = Effect.fnUntraced(function* ({ claim, prove }: Case, { guest, tapDevice }: Surroundings) {
  const { capabilities } = yield* Backend
  const folder = yield* temporaryFolder
  const boot = bootOf(capabilities, guest)
  const outcome = yield* Effect.exit(Effect.scoped(prove({ guest, capabilities, boot, folder, tapDevice })))
  const isClaimed = claim === undefined || claimsOf(capabilities).has(claim)
  if (isClaimed) return yield* Effect.asVoid(outcome)
  if (Exit.isSuccess(outcome)) return yield* new NotAsClaimed({ what: `${claim} is not claimed, and works` })
  // What a configuration asks for is refused by name, before anything is started.
  if (isAskedFor(claim) && !isUnsupported(outcome.cause)) {
    return yield* new NotAsClaimed({ what: `${claim} is not refused as unsupported: ${Cause.pretty(outcome.cause)}` })
  }
})

/** A kernel of a kind that the guest does not have can't be asked for; what is asked for can always be refused. */
export const appliesTo = ({ claim, needsLinux }: Case, { isLinux, kernels }: ConformanceGuest): boolean => {
  if (claim?.startsWith("kernels.") === true) return claim.slice("kernels.".length) in kernels
  return isLinux || needsLinux !== true || (claim !== undefined && isAskedFor(claim))
}

/** Fails if something is claimed for which the catalogue has nothing. */
export const provable = (guest: ConformanceGuest) =>
  Effect.flatMap(Backend, ({ capabilities }) => {
    const isProvable = (claim: Claim) => catalogue.some((one) => one.claim === claim && appliesTo(one, guest))
    const missing = [...claimsOf(capabilities)].filter((claim) => !isProvable(claim))
    return missing.length === 0 ? Effect.void : new NotAsClaimed({ what: `no case shows ${missing.join(", ")}` })
  })
