/** What a network policy is asked about, and what it answers. */
import type * as Effect from "effect/Effect"
import type { MachineError } from "./MachineError.ts"
import type { NetworkPolicy } from "./NetworkConfig.ts"

/** A connection that a machine might begin. @category models */
export interface NetworkFlow {
  readonly protocol: "tcp" | "udp" | "icmp"
  /** The other side's, if it is known. */
  readonly address?: string | undefined
  readonly port?: number | undefined
  /** The name by which the guest would reach it. If absent, the names that DNS has given the address count. */
  readonly name?: string | undefined
}

/** What a decision rests on; docs/NETWORK-POLICY.md explains each. @category models */
export type NetworkReason =
  | "rule"
  | "default"
  | "closed"
  | "service"
  | "ambiguous"
  | "quic"
  | "name"
  | "dnsOverTcp"
  | "serverName"
  | "noServerName"
  | "noConnection"
  | "full"
  | "log"
  | "ended"

/** Ranges that stay closed unless a rule opens them. @category models */
export type ClosedRange = "host" | "linkLocal" | "private" | "shared" | "multicast"

/** What was decided about a flow, and why. @category models */
export interface NetworkDecision {
  readonly action: "allow" | "deny"
  readonly reason: NetworkReason
  /** Index of the rule in the policy, where one decided or was noted. */
  readonly rule?: number | undefined
  /** The closed range that the address is in, where that decided. */
  readonly closed?: ClosedRange | undefined
  /** When the name that TLS asks for has to be allowed, too. */
  readonly serverName?: "ifShown" | "ifTls" | "always" | undefined
  readonly flow: NetworkFlow
  /** Port of the guest, or the identifier of an echo; absent in an explanation. */
  readonly guestPort?: number | undefined
}

/** A line of the log. @category models */
export interface NetworkLogLine extends NetworkDecision {
  /** On the host's monotonic clock. */
  readonly atMs: number
  /** How many like it were left out before it. */
  readonly missed: number
}

/** The policy of a machine that runs. @category models */
export interface MachineNetwork {
  /** What would be decided about a connection now. */
  readonly explain: (flow: NetworkFlow) => Effect.Effect<NetworkDecision, MachineError>
  /** Gives it other rules, which hold from the next packet on. */
  readonly setPolicy: (policy: NetworkPolicy) => Effect.Effect<void, MachineError>
  /** Takes what was denied or noted since it was last asked; the backend keeps a bounded number of lines. */
  readonly takeLog: Effect.Effect<ReadonlyArray<NetworkLogLine>, MachineError>
}
