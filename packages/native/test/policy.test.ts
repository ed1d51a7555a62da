import { describe, expect, test } from "bun:test"
import type { NetworkPolicy, PolicyRule, PolicyRules } from "@capsa/core"
import * as fc from "effect/FastCheck"
import { writePolicy } from "../src/internal/policy.ts"

/** What somebody finds in the buffer who knows capsa.h only. */
const read = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const u32 = (at: number) => view.getUint32(at, true)
  const text = (at: number) => new TextDecoder().decode(bytes.subarray(u32(at), u32(at) + u32(at + 4)))
  const rule = (at: number) => ({
    size: u32(at),
    action: u32(at + 4),
    protocol: u32(at + 8),
    first: view.getUint16(at + 12, true),
    last: view.getUint16(at + 14, true),
    family: u32(at + 16),
    address: [...bytes.subarray(at + 20, at + 36)],
    prefix: u32(at + 36),
    domain: text(at + 40)
  })
  const head = { size: u32(0), total: u32(4), flags: u32(8), action: u32(12), at: u32(16), bytes: u32(20) }
  return { head, rules: Array.from({ length: head.bytes / 48 }, (_, index) => rule(head.at + index * 48)) }
}

describe("profiles", () => {
  test.each<[NetworkPolicy | undefined, number, number]>([
    ["open", 1, 1],
    ["public", 0, 1],
    ["none", 0, 2],
    [undefined, 0, 1],
    [{}, 0, 1],
    [{ default: "deny" }, 0, 2],
    [{ default: "allow", rules: [], recheck: true }, 2, 1]
  ])("%j has flags %p and the default %p", (policy, flags, action) => {
    const { head, rules } = read(writePolicy(policy))
    expect(head).toEqual({ size: 24, total: 24, flags, action, at: 24, bytes: 0 })
    expect(rules).toEqual([])
  })
})

test("rules, and then their names", () => {
  const { head, rules } = read(
    writePolicy({
      default: "deny",
      rules: [
        { action: "allow", domain: "*.example.org", ports: 443, protocol: "tcp" },
        { action: "deny", address: "10.0.0.0/8", ports: "8000-8099" },
        { action: "log", address: "2001:db8::7", protocol: "icmp" },
        { action: "allow", domain: "a.example", protocol: "udp" }
      ]
    })
  )
  expect(head).toEqual({ size: 24, total: 24 + 4 * 48 + 13 + 9, flags: 0, action: 2, at: 24, bytes: 4 * 48 })
  const none = { family: 0, address: Array(16).fill(0), prefix: 0 }
  const ports = { first: 0, last: 0 }
  expect(rules).toEqual([
    { size: 48, action: 1, protocol: 1, first: 443, last: 443, ...none, domain: "*.example.org" },
    {
      size: 48,
      action: 2,
      protocol: 0,
      first: 8000,
      last: 8099,
      family: 4,
      address: [10, ...Array(15).fill(0)],
      prefix: 8,
      domain: ""
    },
    {
      size: 48,
      action: 3,
      protocol: 3,
      ...ports,
      family: 6,
      address: [0x20, 1, 0x0d, 0xb8, ...Array(11).fill(0), 7],
      prefix: 128,
      domain: ""
    },
    { size: 48, action: 1, protocol: 2, ...ports, ...none, domain: "a.example" }
  ])
})

test.each([
  ["::", "0000:0000:0000:0000:0000:0000:0000:0000"],
  ["::1", "0000:0000:0000:0000:0000:0000:0000:0001"],
  ["fe80::", "fe80:0000:0000:0000:0000:0000:0000:0000"],
  ["1::2:3", "0001:0000:0000:0000:0000:0000:0002:0003"],
  ["1:2:3:4:5:6:7:8", "0001:0002:0003:0004:0005:0006:0007:0008"],
  ["ABCD:ef01::", "abcd:ef01:0000:0000:0000:0000:0000:0000"],
  ["::ffff:192.0.2.7", "0000:0000:0000:0000:0000:ffff:c000:0207"],
  ["64:ff9b::10.1.2.3", "0064:ff9b:0000:0000:0000:0000:0a01:0203"],
  ["1:2:3:4:5:6:1.2.3.4", "0001:0002:0003:0004:0005:0006:0102:0304"]
])("%s is %s", (address, expected) => {
  const [rule] = read(writePolicy({ rules: [{ action: "deny", address }] })).rules
  const hex = rule?.address.map((byte) => byte.toString(16).padStart(2, "0")).join("")
  expect(hex?.replace(/(.{4})(?!$)/g, "$1:")).toBe(expected)
})

/** A connection, as a user would describe it. */
interface Flow {
  readonly protocol: "tcp" | "udp" | "icmp"
  readonly address: ReadonlyArray<number>
  readonly port: number
  readonly name: string
}

/** What the configuration says about a flow: the index of the rule that decides, or the default. */
const reference = ({ default: otherwise = "allow", rules = [] }: PolicyRules, flow: Flow): number | string => {
  const decides = rules.findIndex((rule) => rule.action !== "log" && holds(rule, flow))
  return decides === -1 ? otherwise : decides
}

const holds = ({ address, domain, ports, protocol }: PolicyRule, flow: Flow): boolean =>
  (protocol === undefined || protocol === flow.protocol) &&
  (ports === undefined || (flow.protocol !== "icmp" && isPort(String(ports), flow.port))) &&
  (address === undefined || isWithin(address, flow.address)) &&
  (domain === undefined || isNamed(domain.toLowerCase(), flow.name))

const isPort = (ports: string, port: number): boolean => {
  const [first, last = first] = ports.split("-")
  return port >= Number(first) && port <= Number(last)
}

/** Addresses as numbers: the one of the text comes from Bun's own parser of URLs. */
const isWithin = (range: string, address: ReadonlyArray<number>): boolean => {
  const [text = "", prefix] = range.split("/")
  const isIpv6 = text.includes(":")
  const bits = isIpv6 ? 128 : 32
  if (address.length * 8 !== bits) return false
  const shift = BigInt(bits - Number(prefix ?? bits))
  const number = address.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  return (isIpv6 ? ipv6Number(text) : ipv4Number(text)) >> shift === number >> shift
}

const ipv4Number = (text: string): bigint => BigInt(`0x${text.split(".").map(hex(2)).join("")}`)

const ipv6Number = (text: string): bigint => {
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1)
  const given = canonical.split(":").filter((group) => group !== "").length
  const zeros = `:${"0:".repeat(8 - given)}`
  const groups = canonical
    .replace("::", zeros)
    .split(":")
    .filter((group) => group !== "")
  return BigInt(`0x${groups.map((group) => group.padStart(4, "0")).join("")}`)
}

const hex = (digits: number) => (decimal: string) => Number(decimal).toString(16).padStart(digits, "0")

const isNamed = (pattern: string, name: string): boolean =>
  pattern.startsWith("*.") ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1 : name === pattern

/** The same of the buffer, bit by bit. */
const binary = (bytes: Uint8Array, flow: Flow): number | string => {
  const { head, rules } = read(bytes)
  const protocol = { tcp: 1, udp: 2, icmp: 3 }[flow.protocol]
  const bit = (address: ReadonlyArray<number>, at: number) => ((address[at >> 3] ?? 0) >> (7 - (at & 7))) & 1
  for (const [index, rule] of rules.entries()) {
    if (rule.action === 3 || (rule.protocol !== 0 && rule.protocol !== protocol)) continue
    if (rule.last !== 0 && (protocol === 3 || flow.port < rule.first || flow.port > rule.last)) continue
    if (rule.family !== 0 && rule.family !== (flow.address.length === 4 ? 4 : 6)) continue
    const differs = Array.from({ length: rule.prefix }, (_, at) => bit(rule.address, at) !== bit(flow.address, at))
    if (differs.includes(true)) continue
    const labels = rule.domain.toLowerCase().split(".").reverse()
    const named = flow.name.split(".").reverse()
    const wild = labels.at(-1) === "*"
    const fixed = wild ? labels.slice(0, -1) : labels
    const fits = fixed.every((label, at) => label === named[at])
    if (rule.domain !== "" && !(fits && (wild ? named.length > fixed.length : named.length === fixed.length))) continue
    return index
  }
  return head.action === 1 ? "allow" : "deny"
}

const name = fc.constantFrom("example", "a.example", "b.a.example", "xa.example", "other")
const ipv4 = fc.tuple(...Array.from({ length: 4 }, () => fc.constantFrom(0, 1, 10, 127, 192, 255)))
const ipv6 = fc.tuple(...Array.from({ length: 16 }, () => fc.constantFrom(0, 0, 0, 1, 0xfd, 255)))
const written = fc.oneof(
  ipv4.map((bytes) => bytes.join(".")),
  ipv6.map((bytes) => {
    const groups = Array.from({ length: 8 }, (_, at) =>
      ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16)
    )
    return groups
      .join(":")
      .replace(/\b0(:0)+\b/, (zeros) => (zeros.length === 15 ? "::" : ":"))
      .replace(/:{3,}/, "::")
  })
)
const range = fc
  .tuple(written, fc.option(fc.nat({ max: 128 }), { nil: undefined }))
  .map(([text, prefix]) => (prefix === undefined ? text : `${text}/${text.includes(":") ? prefix : prefix % 33}`))
const port = fc.constantFrom(53, 80, 443, 8080)
const ports = fc.oneof(
  port,
  fc.tuple(port, port).map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`)
)
const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const rule: fc.Arbitrary<PolicyRule> = fc.record({
  action: fc.constantFrom("allow", "deny", "log"),
  address: optional(range),
  domain: optional(fc.tuple(fc.constantFrom("", "*."), name).map(([star, text]) => (star + text).toUpperCase())),
  ports: optional(ports),
  protocol: optional(fc.constantFrom("tcp", "udp", "icmp"))
})
const policies: fc.Arbitrary<PolicyRules> = fc.record({
  default: optional(fc.constantFrom("allow", "deny")),
  rules: fc.array(rule, { maxLength: 6 })
})
const flow: fc.Arbitrary<Flow> = fc.record({
  protocol: fc.constantFrom("tcp", "udp", "icmp"),
  address: fc.oneof(ipv4, ipv6),
  port,
  name
})

test("the buffer says what the configuration says", () => {
  fc.assert(
    fc.property(policies, fc.array(flow, { minLength: 1, maxLength: 20 }), (policy, flows) => {
      const bytes = writePolicy(policy)
      for (const one of flows) expect(binary(bytes, one)).toBe(reference(policy, one))
    }),
    { numRuns: 500 }
  )
})
