/** What a machine may reach, as the library takes it: struct capsa_policy of capsa.h. */
import type { NetworkPolicy, PolicyRule, PolicyRules } from "@capsa/core"
import { defaults } from "@capsa/core/ConfigDefaults"
import { offsetOf, setSlice, sizeOf } from "./layout.ts"

/** Values of the enums of capsa.h. */
export const policyFlag = { open: 1, recheck: 2 } as const
export const policyAction = { allow: 1, deny: 2, log: 3 } as const
export const policyProtocol = { tcp: 1, udp: 2, icmp: 3 } as const
export const addressFamily = { ipv4: 4, ipv6: 6 } as const

/** The struct, its rules, and then their names, in one buffer. What is not valid is for the library to refuse. */
export const writePolicy = (policy: NetworkPolicy = defaults.policyProfile): Uint8Array => {
  const {
    open,
    rules: { default: otherwise = defaults.policy, rules = [], recheck = defaults.policyRecheck }
  } = expanded(policy)
  const rulesAt = sizeOf("capsa_policy")
  const namesAt = rulesAt + rules.length * sizeOf("capsa_rule")
  const names = rules.map(({ domain = "" }) => new TextEncoder().encode(domain))
  const bytes = new Uint8Array(names.reduce((end, name) => end + name.byteLength, namesAt))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, rulesAt, true)
  view.setUint32(offsetOf("capsa_policy.total"), bytes.byteLength, true)
  view.setUint32(
    offsetOf("capsa_policy.flags"),
    (open ? policyFlag.open : 0) | (recheck ? policyFlag.recheck : 0),
    true
  )
  view.setUint32(offsetOf("capsa_policy.default_action"), policyAction[otherwise], true)
  setSlice(view, offsetOf("capsa_policy.rules"), rulesAt, namesAt - rulesAt)
  let end = namesAt
  rules.forEach((rule, index) => {
    const name = names[index] ?? new Uint8Array()
    const base = rulesAt + index * sizeOf("capsa_rule")
    writeRule(view, base, rule)
    setSlice(view, base + offsetOf("capsa_rule.domain"), end, name.byteLength)
    bytes.set(name, end)
    end += name.byteLength
  })
  return bytes
}

/** A profile is a shorthand for rules. */
const expanded = (policy: NetworkPolicy): { readonly open: boolean; readonly rules: PolicyRules } => {
  switch (policy) {
    case "open":
      return { open: true, rules: { default: "allow" } }
    case "public":
      return { open: false, rules: { default: "allow" } }
    case "none":
      return { open: false, rules: { default: "deny" } }
    default:
      return { open: false, rules: policy }
  }
}

const writeRule = (view: DataView, base: number, { action, address, ports, protocol }: PolicyRule) => {
  view.setUint32(base, sizeOf("capsa_rule"), true)
  view.setUint32(base + offsetOf("capsa_rule.action"), policyAction[action], true)
  if (protocol !== undefined) view.setUint32(base + offsetOf("capsa_rule.protocol"), policyProtocol[protocol], true)
  const [first, last] = portsOf(ports)
  view.setUint16(base + offsetOf("capsa_rule.port_first"), first, true)
  view.setUint16(base + offsetOf("capsa_rule.port_last"), last, true)
  if (address === undefined) return
  const prefix = writeRange(view, base + offsetOf("capsa_rule.address"), address)
  view.setUint32(base + offsetOf("capsa_rule.prefix"), prefix, true)
}

/** Writes a struct capsa_address; how many of its leading bits count. */
export const writeRange = (view: DataView, at: number, text: string): number => {
  const range = rangeOf(text)
  view.setUint32(at + offsetOf("capsa_address.family"), range.family, true)
  range.bytes.forEach((byte, index) => {
    view.setUint8(at + offsetOf("capsa_address.bytes") + index, byte)
  })
  return range.prefix
}

const portsOf = (ports: PolicyRule["ports"]): readonly [first: number, last: number] => {
  if (ports === undefined) return [0, 0]
  if (typeof ports === "number") return [ports, ports]
  const [first = 0, last = 0] = ports.split("-").map(Number)
  return [first, last]
}

const rangeOf = (text: string) => {
  const [address = "", prefix] = text.split("/")
  const family = address.includes(":") ? addressFamily.ipv6 : addressFamily.ipv4
  const bytes = family === addressFamily.ipv6 ? ipv6Bytes(address) : ipv4Bytes(address)
  return { family, bytes, prefix: prefix === undefined ? bytes.length * 8 : Number(prefix) }
}

const ipv4Bytes = (text: string): ReadonlyArray<number> => text.split(".").map(Number)

/** RFC 4291, 2.2: "::" stands for as many zeros as are missing, and the end may be written as IPv4. */
const ipv6Bytes = (text: string): ReadonlyArray<number> => {
  const [head = [], tail] = text.split("::").map(groupBytes)
  return tail === undefined ? head : [...head, ...Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

const groupBytes = (text: string): ReadonlyArray<number> =>
  text === "" ? [] : text.split(":").flatMap((group) => (group.includes(".") ? ipv4Bytes(group) : hexBytes(group)))

const hexBytes = (group: string): ReadonlyArray<number> => {
  const value = Number.parseInt(group, 16)
  return [value >> 8, value & 0xff]
}
