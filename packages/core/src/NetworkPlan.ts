/** A machine's network with every decision made. */
import * as Schema from "effect/Schema"
import { defaults } from "./ConfigDefaults.ts"
import { type NetworkConfig, NetworkPolicy, type PortForward } from "./NetworkConfig.ts"

/** A port of the host that leads to one of the guest. @category models */
export const ForwardPlan = Schema.Struct({
  protocol: Schema.Literal("tcp", "udp"),
  address: Schema.String,
  host: Schema.Int,
  guest: Schema.Int
})
/** @category models */
export type ForwardPlan = typeof ForwardPlan.Type

/** @category models */
export const UserNetworkPlan = Schema.Struct({
  mode: Schema.Literal("user"),
  /** Hardware address of the guest: six bytes in hexadecimal, with colons. */
  mac: Schema.String,
  policy: NetworkPolicy,
  forwards: Schema.Array(ForwardPlan),
  dnsServers: Schema.Array(Schema.String),
  dnsSearch: Schema.Array(Schema.String)
})
/** @category models */
export type UserNetworkPlan = typeof UserNetworkPlan.Type

/** @category models */
export const TapNetworkPlan = Schema.Struct({
  mode: Schema.Literal("tap"),
  mac: Schema.String,
  device: Schema.String
})
/** @category models */
export type TapNetworkPlan = typeof TapNetworkPlan.Type

/** @category models */
export const SwitchNetworkPlan = Schema.Struct({
  mode: Schema.Literal("switch"),
  mac: Schema.String,
  switch: Schema.String,
  subnet: Schema.String,
  /** Of the way out; absent: there is none. */
  uplink: Schema.optional(NetworkPolicy),
  /** Absent: any that is free. */
  address: Schema.optional(Schema.String)
})
/** @category models */
export type SwitchNetworkPlan = typeof SwitchNetworkPlan.Type

/** @category models */
export const NetworkPlan = Schema.Union(UserNetworkPlan, TapNetworkPlan, SwitchNetworkPlan)
/** @category models */
export type NetworkPlan = typeof NetworkPlan.Type

/** The plan of a validated configuration, for the machine of this id; undefined without a network. @category constructors */
export const make = (network: NetworkConfig, id: string): NetworkPlan | undefined => {
  if (network === "none") return undefined
  const mac = macOf(id)
  switch (network.mode) {
    case "user": {
      const { policy = defaults.policyProfile, forwards = [], dns = {} } = network
      const { servers = [], search = [] } = dns
      return { mode: "user", mac, policy, forwards: forwards.map(forwardOf), dnsServers: servers, dnsSearch: search }
    }
    case "tap":
      return { mode: "tap", mac, device: network.device }
    case "switch": {
      const { subnet = defaults.switchSubnet, uplink, address } = network
      return {
        mode: "switch",
        mac,
        switch: network.switch,
        subnet,
        ...(uplink === undefined ? {} : { uplink }),
        ...(address === undefined ? {} : { address })
      }
    }
  }
}

const forwardOf = ({ host, guest, protocol, address }: PortForward): ForwardPlan => ({
  protocol: protocol ?? defaults.forwardProtocol,
  address: address ?? defaults.forwardAddress,
  host,
  guest
})

/** The same for the same id: unicast, locally administered (IEEE 802, 8.4), and the end of the id, which is random. */
const macOf = (id: string): string => {
  const digits = id.replaceAll("-", "").slice(-10)
  return ["02", ...(digits.match(/../g) ?? [])].join(":")
}
