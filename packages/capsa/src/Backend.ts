/** What runs machines, and the choice of it. */
import { Backend, type BackendError } from "@capsa/core"
import { Kvm } from "@capsa/kvm"
import { Qemu } from "@capsa/qemu"
import type * as Layer from "effect/Layer"
import { type Candidate, select } from "./internal/selection.ts"

export type { PassedOver } from "@capsa/core"
export { Backend, type Candidate }

/**
 * The backends that {@link auto} considers, in the order in which it prefers them.
 *
 * @category constructors
 */
export const candidates: ReadonlyArray<Candidate> = [
  { name: "kvm", capabilities: Kvm.capabilities, probe: Kvm.probe, layer: Kvm.layer },
  { name: "qemu", capabilities: Qemu.capabilities, probe: Qemu.probe, layer: Qemu.layer() }
]

/**
 * The best backend of this host: the first of {@link candidates} that works, or the one that the variable `CAPSA_BACKEND`
 * names. Logs the choice; the service's `passedOver` tells which were preferred and why they cannot serve. Fails with
 * `NoneAvailable` and what to do about each, or `UnknownBackend`.
 *
 * @category layers
 */
export const auto: Layer.Layer<Backend, BackendError> = select(candidates)
