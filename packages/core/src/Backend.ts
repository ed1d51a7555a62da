/** The one service that all backends implement. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackendError } from "./BackendError.ts"
import type { BackendName } from "./BackendName.ts"
import type { BootPlan } from "./BootPlan.ts"
import type { Capabilities } from "./Capabilities.ts"
import type { Machine } from "./Machine.ts"
import type { StateError } from "./StateError.ts"
import type { VmBootError } from "./VmBootError.ts"

/** A backend that was looked at and not taken, and why. @category models */
export interface PassedOver {
  readonly backend: BackendName
  readonly error: BackendError
}

/**
 * Runs machines. A layer of it has made sure that it can: it fails with {@link BackendError} where it cannot.
 *
 * @category tags
 */
export class Backend extends Context.Tag("@capsa/core/Backend")<
  Backend,
  {
    readonly name: BackendName
    /** What it is, in a few words for people: "KVM", "QEMU 7.2.22 (TCG)". */
    readonly description: string
    readonly capabilities: Capabilities
    /** Backends that `auto` preferred but could not use; empty for an explicit layer. */
    readonly passedOver: ReadonlyArray<PassedOver>
    /**
     * Carries out a plan, adding nothing to it. Succeeds once the first vCPU runs; the machine ends with the scope.
     */
    readonly boot: (plan: BootPlan) => Effect.Effect<Machine, BackendError | StateError | VmBootError, Scope.Scope>
  }
>() {}
