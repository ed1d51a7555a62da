/** What stands between a machine and its network. */
import {
  type Machine,
  MachineError,
  type MachineNetwork,
  type NetworkDecision,
  type NetworkFlow,
  type NetworkLogLine,
  type NetworkPolicy,
  type VmConfigError
} from "@capsa/core"
import { validateFlow, validatePolicy } from "@capsa/core/ConfigValidation"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"

/**
 * The policy of a machine in user mode, or of the way out of its switch, which its other machines share. On a machine
 * without a policy everything fails with `Unsupported`.
 *
 * @category models
 */
export interface VmNetwork {
  /** What would be decided about a connection now, and why. */
  readonly explain: (flow: NetworkFlow) => Effect.Effect<NetworkDecision, MachineError | VmConfigError>
  /** Gives it other rules, which hold from the next packet on; see docs/NETWORK-POLICY.md for connections that there are. */
  readonly setPolicy: (policy: NetworkPolicy) => Effect.Effect<void, MachineError | VmConfigError>
  /** What was denied or noted so far and from now on, each line given to one reader; looked for once a second while it is read. */
  readonly log: Stream.Stream<NetworkLogLine, MachineError>
}

/** How long lines may wait while somebody reads. */
const lookEvery = "1 second"

const unsupported = (operation: string) =>
  new MachineError({
    reason: "Unsupported",
    operation,
    detail: "no policy stands between this machine and its network",
    hint: 'Launch it with network: { mode: "user" }, or on a switch with an uplink.'
  })

/** The network of a machine, with what is asked of it checked before. @category constructors */
export const make = ({ network }: Machine): VmNetwork => {
  const ask = <A, E>(operation: string, f: (network: MachineNetwork) => Effect.Effect<A, E>) =>
    Effect.suspend(
      (): Effect.Effect<A, E | MachineError> =>
        network === undefined ? Effect.fail(unsupported(operation)) : f(network)
    )
  return {
    explain: (flow) =>
      ask("explain", ({ explain }) => Effect.zipRight(validateFlow(flow), explain(flow))).pipe(
        Effect.withSpan("VmNetwork.explain")
      ),
    setPolicy: (policy) =>
      ask("setPolicy", ({ setPolicy }) => Effect.zipRight(validatePolicy(policy), setPolicy(policy))).pipe(
        Effect.withSpan("VmNetwork.setPolicy")
      ),
    log: Stream.repeatEffectWithSchedule(
      ask("takeLog", ({ takeLog }) => takeLog),
      Schedule.spaced(lookEvery)
    ).pipe(Stream.flattenIterables)
  }
}
