/** How a machine reaches a network. */
import * as Schema from "effect/Schema"
import { defaults } from "./ConfigDefaults.ts"

/** What is done with the connections that a rule describes; all its conditions have to hold. @category models */
export const PolicyRule = Schema.Struct({
  action: Schema.propertySignature(Schema.Literal("allow", "deny", "log")).annotations({
    description: '"log" notes the connection and goes on to the next rule.'
  }),
  address: Schema.optional(Schema.NonEmptyString).annotations({
    description: 'The other side\'s address, or a range: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32".'
  }),
  domain: Schema.optional(Schema.NonEmptyString).annotations({
    description: 'The other side\'s name; "*.example.org" is every name below example.org, but not itself.'
  }),
  ports: Schema.optional(
    Schema.Union(Schema.Int, Schema.String.pipe(Schema.pattern(/^\d{1,5}-\d{1,5}$/))).annotations({
      description: 'the number of a port, or a range ("8000-8099")'
    })
  ).annotations({ description: "Ports of the other side." }),
  protocol: Schema.optional(Schema.Literal("tcp", "udp", "icmp")).annotations({ description: "All of them if absent." })
})
/** @category models */
export type PolicyRule = typeof PolicyRule.Type

/** What a machine may reach, rule by rule. @category models */
export const PolicyRules = Schema.Struct({
  default: Schema.optional(Schema.Literal("allow", "deny")).annotations({
    default: defaults.policy,
    description:
      "What happens where no rule decides. Loopback, link-local, metadata and private addresses need a rule of their own."
  }),
  rules: Schema.optional(Schema.Array(PolicyRule)).annotations({ description: "The first that decides is taken." }),
  recheck: Schema.optional(Schema.Boolean).annotations({
    default: defaults.policyRecheck,
    description: "When they replace others: connections that they deny are ended, too, instead of living on."
  })
})
/** @category models */
export type PolicyRules = typeof PolicyRules.Type

/** What a machine may reach, in a word or rule by rule: docs/NETWORK-POLICY.md. @category models */
export const NetworkPolicy = Schema.Union(
  Schema.Literal("open"),
  Schema.Literal("public"),
  Schema.Literal("none"),
  PolicyRules
)
/** @category models */
export type NetworkPolicy = typeof NetworkPolicy.Type

/** A port of the host that leads to one of the guest. @category models */
export const PortForward = Schema.Struct({
  host: Schema.propertySignature(Schema.Int).annotations({ description: "Port of the host, 1 to 65535." }),
  guest: Schema.propertySignature(Schema.Int).annotations({ description: "Port of the guest, 1 to 65535." }),
  protocol: Schema.optional(Schema.Literal("tcp", "udp")).annotations({
    default: defaults.forwardProtocol,
    description: "What is forwarded."
  }),
  address: Schema.optional(Schema.NonEmptyString).annotations({
    default: defaults.forwardAddress,
    description: 'Address of the host that listens; "0.0.0.0" and "::" are all of them.'
  })
})
/** @category models */
export type PortForward = typeof PortForward.Type

/** How names are found. @category models */
export const DnsConfig = Schema.Struct({
  servers: Schema.optional(Schema.Array(Schema.NonEmptyString)).annotations({
    description: "IPv4 addresses of the servers that are asked. Those of the host if absent."
  }),
  search: Schema.optional(Schema.Array(Schema.NonEmptyString)).annotations({
    description: "Domains in which the guest looks for short names."
  })
})
/** @category models */
export type DnsConfig = typeof DnsConfig.Type

/** Outwards through the host, without privileges. @category models */
export const UserNetwork = Schema.Struct({
  mode: Schema.propertySignature(Schema.Literal("user")).annotations({
    description: "Outwards through the host, by address translation that needs no privileges."
  }),
  policy: Schema.optional(NetworkPolicy).annotations({
    default: defaults.policyProfile,
    description:
      'What the machine may reach: "public" is everything but closed ranges (the host, private networks and the like), "open" is those as well, "none" is nothing but DHCP.'
  }),
  forwards: Schema.optional(Schema.Array(PortForward)).annotations({
    description: "Ports of the host that lead into the machine."
  }),
  dns: Schema.optional(DnsConfig).annotations({ description: "How the guest finds names." })
})
/** @category models */
export type UserNetwork = typeof UserNetwork.Type

/** On a TAP device of the host. @category models */
export const TapNetwork = Schema.Struct({
  mode: Schema.propertySignature(Schema.Literal("tap")).annotations({
    description: "On a TAP device of the host, which somebody with the privilege has set up."
  }),
  device: Schema.propertySignature(Schema.NonEmptyString).annotations({
    description: "Name of the device, at most 15 bytes."
  })
})
/** @category models */
export type TapNetwork = typeof TapNetwork.Type

/** On a switch with other machines. @category models */
export const SwitchNetwork = Schema.Struct({
  mode: Schema.propertySignature(Schema.Literal("switch")).annotations({
    description: "On a switch that machines of this program share."
  }),
  switch: Schema.propertySignature(Schema.NonEmptyString).annotations({
    description: "Name of the switch; written like the name of a machine."
  }),
  address: Schema.optional(Schema.NonEmptyString).annotations({
    description: "The machine's own IPv4 address. A lease of the switch's if absent."
  }),
  subnet: Schema.optional(Schema.NonEmptyString).annotations({
    default: defaults.switchSubnet,
    description:
      "The switch's IPv4 network, with 16 to 28 leading bits. The first of its addresses is the gateway's. All machines of a switch give the same."
  }),
  uplink: Schema.optional(NetworkPolicy).annotations({
    description:
      "What the machines of the switch may reach beyond it; if absent there is no way out. All machines of a switch give the same."
  })
})
/** @category models */
export type SwitchNetwork = typeof SwitchNetwork.Type

/** @category models */
export const NetworkConfig = Schema.Union(Schema.Literal("none"), UserNetwork, TapNetwork, SwitchNetwork)
/** @category models */
export type NetworkConfig = typeof NetworkConfig.Type
