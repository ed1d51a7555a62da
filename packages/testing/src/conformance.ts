/** One catalogue of cases for every backend: what it claims it does, and what it does not claim it refuses. */
import { describe } from "bun:test"
import type { Backend, BackendError } from "@capsa/core"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { live } from "./BunTest.ts"
import type { Claim, ConformanceGuest } from "./internal/conformance/Case.ts"
import { appliesTo, catalogue, judge, provable, type Surroundings } from "./internal/conformance/judge.ts"

export type { Claim, ConformanceGuest, Surroundings }

/** @category models */
export interface ConformanceOptions extends Surroundings {
  /** Claims that this host cannot show, and why: their cases are skipped, and say so. */
  readonly hostLacks?: Readonly<Partial<Record<Claim, string>>> | undefined
  /** Real time that a case may take, in milliseconds; five minutes if absent. */
  readonly caseMs?: number | undefined
}

/**
 * Holds one claim of a backend against what it does: fails if it is claimed and does not hold, and if it is not claimed and
 * does.
 *
 * @category constructors
 */
export const conforms = (claim: Claim, surroundings: Surroundings): Effect.Effect<void, unknown, Backend> =>
  Effect.forEach(
    catalogue.filter((one) => one.claim === claim),
    (one) => Effect.scoped(judge(one, surroundings)),
    { discard: true }
  )

/**
 * Defines tests of a backend, for `bun:test`. Fails what is claimed and does not work, what is not claimed and works, and
 * what is claimed and has no case.
 *
 * @category constructors
 */
export const conformance = <R>(
  name: string,
  backend: Layer.Layer<Backend | R, BackendError>,
  options: ConformanceOptions
): void =>
  describe(`${name} conforms`, () => {
    const { caseMs = 300_000, guest, hostLacks = {} } = options
    const define = (
      title: string,
      lack: string | undefined,
      body: Effect.Effect<unknown, unknown, Backend | Scope.Scope>
    ) =>
      live.skipIf(lack !== undefined)(
        lack === undefined ? title : `${title} — skipped: ${lack}`,
        () => Effect.provide(body, backend),
        caseMs
      )
    define("every claim has a case", undefined, provable(guest))
    for (const one of catalogue) {
      if (!appliesTo(one, guest)) continue
      define(one.name, one.claim && hostLacks[one.claim], judge(one, options))
    }
  })
