/** Questions to a policy and its answers: struct capsa_flow and struct capsa_decision of capsa.h. */
import type { NetworkDecision, NetworkFlow, NetworkLogLine } from "@capsa/core"
import { type Line, offsetOf, sizeOf } from "./layout.ts"
import { addressFamily, policyAction, policyProtocol, writeRange } from "./policy.ts"

/** By the values of enum capsa_reason. */
const reasons = [
  "default",
  "rule",
  "default",
  "closed",
  "service",
  "ambiguous",
  "quic",
  "name",
  "dnsOverTcp",
  "serverName",
  "noServerName",
  "noConnection",
  "full",
  "log",
  "ended"
] as const
const closedRanges = [undefined, "host", "linkLocal", "private", "shared", "multicast"] as const
const serverNames = [undefined, "ifShown", "ifTls", "always"] as const
const protocols = ["tcp", "tcp", "udp", "icmp"] as const

export const writeFlow = ({ protocol, address, port }: NetworkFlow): Uint8Array => {
  const bytes = new Uint8Array(sizeOf("capsa_flow"))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.byteLength, true)
  view.setUint32(offsetOf("capsa_flow.protocol"), policyProtocol[protocol], true)
  view.setUint16(offsetOf("capsa_flow.remote_port"), port ?? 0, true)
  if (address !== undefined) writeRange(view, offsetOf("capsa_flow.remote"), address)
  return bytes
}

const decoder = new TextDecoder()

/** As people write it: IPv6 as RFC 5952 has it, which is how URLs do. */
const readAddress = (view: DataView, at: number): string | undefined => {
  const family = view.getUint32(at + offsetOf("capsa_address.family"), true)
  const start = view.byteOffset + at + offsetOf("capsa_address.bytes")
  const bytes = new Uint8Array(view.buffer, start, sizeOf("capsa_address.bytes"))
  if (family === addressFamily.ipv4) return bytes.subarray(0, 4).join(".")
  if (family !== addressFamily.ipv6) return undefined
  const groups = Array.from({ length: 8 }, (_, index) =>
    view.getUint16(start - view.byteOffset + index * 2).toString(16)
  )
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1)
}

const readLine = (view: DataView, base: number): NetworkLogLine => {
  const u32 = (line: Line) => view.getUint32(base + offsetOf(line), true)
  const rule = view.getInt32(base + offsetOf("capsa_decision.rule"), true)
  const flow = base + offsetOf("capsa_decision.flow")
  const port = view.getUint16(flow + offsetOf("capsa_flow.remote_port"), true)
  const guestPort = view.getUint16(flow + offsetOf("capsa_flow.guest_port"), true)
  const nameAt = view.byteOffset + base + offsetOf("capsa_decision.name")
  const name = new Uint8Array(view.buffer, nameAt, sizeOf("capsa_decision.name"))
  return {
    action: u32("capsa_decision.action") === policyAction.allow ? "allow" : "deny",
    reason: reasons[u32("capsa_decision.reason")] ?? "default",
    rule: rule < 0 ? undefined : rule,
    closed: closedRanges[u32("capsa_decision.closed")],
    serverName: serverNames[u32("capsa_decision.server_name")],
    flow: {
      protocol: protocols[view.getUint32(flow + offsetOf("capsa_flow.protocol"), true)] ?? "tcp",
      address: readAddress(view, flow + offsetOf("capsa_flow.remote")),
      port: port === 0 ? undefined : port,
      name: name[0] === 0 ? undefined : decoder.decode(name.subarray(0, name.indexOf(0)))
    },
    guestPort: guestPort === 0 ? undefined : guestPort,
    atMs: Number(view.getBigUint64(base + offsetOf("capsa_decision.time_ms"), true)),
    missed: u32("capsa_decision.missed")
  }
}

/** A buffer for capsa_policy_explain. */
export const makeDecision = () => {
  const bytes = new Uint8Array(sizeOf("capsa_decision"))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.byteLength, true)
  const read = (): NetworkDecision => {
    const { atMs: _, missed: __, ...decision } = readLine(view, 0)
    return decision
  }
  return { bytes, read }
}

/** A buffer for capsa_policy_log. */
export const makeLog = (capacity: number) => {
  const size = sizeOf("capsa_decision")
  const bytes = new Uint8Array(capacity * size)
  const view = new DataView(bytes.buffer)
  const read = (count: number): ReadonlyArray<NetworkLogLine> =>
    Array.from({ length: count }, (_, index) => readLine(view, index * size))
  return { bytes, read }
}
