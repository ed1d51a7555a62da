import { defaults } from "../ConfigDefaults.ts"
import type {
  DnsConfig,
  NetworkConfig,
  NetworkPolicy,
  PolicyRule,
  PortForward,
  SwitchNetwork,
  TapNetwork,
  UserNetwork
} from "../NetworkConfig.ts"
import type { NetworkFlow } from "../NetworkFlow.ts"
import { isAddress, isDomain, isIpv4, isRange } from "./address.ts"
import { ensure, isName, nameHint, type Problems, unique, within } from "./problem.ts"

/** What is wrong with a network, whichever backend has it. */
export const networkProblems = (network: NetworkConfig = defaults.network): Problems => {
  if (network === "none") return []
  switch (network.mode) {
    case "user":
      return userProblems(network)
    case "tap":
      return tapProblems(network)
    case "switch":
      return switchProblems(network)
  }
}

const userProblems = ({ policy, forwards = [], dns = {} }: UserNetwork): Problems => [
  ...policyProblems("network.policy", policy),
  ...atMost(forwards, forwardsMax, "network.forwards", "forwards"),
  ...forwards.flatMap((forward, index) => forwardProblems(`network.forwards.${index}`, forward)),
  ...collisions(forwards),
  ...dnsProblems(dns)
]

/** As many as the native library takes (CAPSA_RULES_MAX, CAPSA_FORWARDS_MAX, CAPSA_DNS_SERVERS_MAX). */
const rulesMax = 1024
const forwardsMax = 64
const dnsServersMax = 8

const atMost = (list: ReadonlyArray<unknown>, most: number, path: string, what: string): Problems =>
  ensure(list.length <= most, path, `There are ${list.length} ${what}.`, `Give at most ${most}.`)

export const policyProblems = (path: string, policy: NetworkPolicy = defaults.policyProfile): Problems => {
  if (typeof policy === "string") return []
  const { rules = [] } = policy
  return [
    ...ensure(
      rules.length <= rulesMax,
      `${path}.rules`,
      `There are ${rules.length} rules.`,
      `Give at most ${rulesMax}: one for a range, or for "*.example.org", does the work of many.`
    ),
    ...rules.flatMap((rule, index) => ruleProblems(`${path}.rules.${index}`, rule))
  ]
}

/** What is wrong with a question to a policy. */
export const flowProblems = ({ address, name, port, protocol }: NetworkFlow): Problems => [
  ...addressProblem("address", address),
  ...ensure(
    name === undefined || isDomain(name.replace(/\.$/, "")),
    "name",
    `"${name}" is no name of a domain.`,
    'Write it like "example.org".'
  ),
  ...within("port", port, 1, portMax),
  ...ensure(port === undefined || protocol !== "icmp", "port", "ICMP has no ports.", "Leave it out.")
]

const ruleProblems = (path: string, { address, domain, ports, protocol }: PolicyRule): Problems => [
  ...ensure(
    address === undefined || isRange(address),
    `${path}.address`,
    `"${address}" is neither an address nor a range.`,
    'Write it like "192.0.2.7", "10.0.0.0/8" or "2001:db8::/32"; a name goes into domain.'
  ),
  ...ensure(
    domain === undefined || isDomain(domain.replace(/^\*\./, "").replace(/\.$/, "")),
    `${path}.domain`,
    `"${domain}" is no name of a domain.`,
    'Write it like "example.org" or "*.example.org"; an address goes into address.'
  ),
  ...ensure(
    address === undefined || domain === undefined,
    `${path}.domain`,
    "A rule is about an address or about a name, not both.",
    "Make two rules of it."
  ),
  ...portProblems(`${path}.ports`, ports),
  ...ensure(ports === undefined || protocol !== "icmp", `${path}.ports`, "ICMP has no ports.", "Leave one of them out.")
]

const portMax = 65_535

const portProblems = (path: string, ports: PolicyRule["ports"]): Problems => {
  if (typeof ports !== "string") return within(path, ports, 1, portMax)
  const [first = 0, last = 0] = ports.split("-").map(Number)
  const isOrdered = first >= 1 && first <= last && last <= portMax
  return ensure(isOrdered, path, `${ports} is no range of ports.`, `Give the lower one first, 1 to ${portMax}.`)
}

const forwardProblems = (path: string, { host, guest, address }: PortForward): Problems => [
  ...within(`${path}.host`, host, 1, portMax),
  ...within(`${path}.guest`, guest, 1, portMax),
  ...addressProblem(`${path}.address`, address)
]

const addressProblem = (path: string, address: string | undefined, fits = isAddress): Problems =>
  ensure(
    address === undefined || fits(address),
    path,
    `"${address}" is not such an address.`,
    `Write it like "192.0.2.7"${fits === isAddress ? ' or "2001:db8::7"' : ""}.`
  )

/** Two that listen at the same place; one that listens everywhere takes its port from all others. */
const collisions = (forwards: ReadonlyArray<PortForward>): Problems =>
  forwards.flatMap((forward, index) => {
    const earlier = forwards.slice(0, index).findIndex((other) => collide(forward, other))
    return ensure(
      earlier === -1,
      `network.forwards.${index}.host`,
      `Port ${forward.host} of the host is taken by network.forwards.${earlier}.`,
      "Give each forward a port of the host, or an address, of its own."
    )
  })

const collide = (one: PortForward, other: PortForward): boolean => {
  const protocols = [one, other].map(({ protocol = defaults.forwardProtocol }) => protocol)
  const addresses = [one, other].map(({ address = defaults.forwardAddress }) => address)
  const everywhere = addresses.some((address) => address === "0.0.0.0" || address === "::")
  return one.host === other.host && protocols[0] === protocols[1] && (everywhere || addresses[0] === addresses[1])
}

const dnsProblems = ({ servers = [], search = [] }: DnsConfig): Problems => [
  ...atMost(servers, dnsServersMax, "network.dns.servers", "servers"),
  ...servers.flatMap((server, index) => addressProblem(`network.dns.servers.${index}`, server, isIpv4)),
  ...unique(
    servers,
    (server) => server,
    (index) => `network.dns.servers.${index}`,
    "Name each server once."
  ),
  ...search.flatMap((domain, index) =>
    ensure(
      isDomain(domain),
      `network.dns.search.${index}`,
      `"${domain}" is no name of a domain.`,
      'Write it like "example.org".'
    )
  )
]

/** As the kernel's `dev_valid_name` (net/core/dev.c) has it, in printable ASCII. */
const tapProblems = ({ device }: TapNetwork): Problems =>
  ensure(
    /^[!-~]{1,15}$/.test(device) && !/[/:]/.test(device) && device !== "." && device !== "..",
    "network.device",
    `${JSON.stringify(device)} cannot be the name of a network device.`,
    'Use at most 15 letters, digits, "-" and "_"; `ip tuntap` lists those that there are.'
  )

const switchProblems = ({ switch: name, address, subnet, uplink }: SwitchNetwork): Problems => [
  ...ensure(isName(name), "network.switch", `${JSON.stringify(name)} cannot be the name of a switch.`, nameHint),
  ...addressProblem("network.address", address, isIpv4),
  ...ensure(
    subnet === undefined || isSubnet(subnet),
    "network.subnet",
    `"${subnet}" is no network for a switch.`,
    'Write it like "10.0.3.0/24", with 16 to 28 leading bits.'
  ),
  ...(uplink === undefined ? [] : policyProblems("network.uplink", uplink))
]

const isSubnet = (text: string): boolean => {
  const [address = "", bits = ""] = text.split("/")
  const prefix = Number(bits)
  if (!isIpv4(address) || !/^\d\d$/.test(bits) || prefix < 16 || prefix > 28) return false
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0)
  return number % 2 ** (32 - prefix) === 0
}
