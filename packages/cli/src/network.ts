/** What the options of `capsa run` say about the machine's network. */
import type { NetworkConfig, PolicyRule, PortForward } from "@capsa/core"

/** "8080:80", "0.0.0.0:8080:80/tcp", "[::1]:5353:53/udp". */
export const parsePublish = (text: string): PortForward | undefined => {
  const [, address, host, guest, protocol] =
    /^(?:(\[[\da-fA-F:.]+\]|[\d.]+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? []
  if (host === undefined || guest === undefined) return undefined
  return {
    host: Number(host),
    guest: Number(guest),
    ...(address !== undefined && { address: address.replace(/[[\]]/g, "") }),
    ...((protocol === "tcp" || protocol === "udp") && { protocol })
  }
}

/** Whom a rule is about, and how. */
export type Target = Omit<PolicyRule, "action">

/** "example.org", "*.example.org:443", "10.0.0.0/8:8000-8099/tcp", "[2001:db8::7]:53/udp", "2001:db8::/32", "*:22". */
export const parseTarget = (text: string): Target | undefined => {
  const [, place = "", protocol] = /^(.+?)(?:\/(tcp|udp|icmp))?$/.exec(text) ?? []
  const [, bracketed, plain, ports] = /^(?:\[(.+)\]|(.+?))(?::(\d{1,5}(?:-\d{1,5})?))?$/.exec(place) ?? []
  // Without brackets, whatever is behind the last of several colons belongs to the address.
  const isIpv6 = bracketed === undefined && place.split(":").length > 2
  const whom = isIpv6 ? place : (bracketed ?? plain)
  if (whom === undefined) return undefined
  const isAddress = whom.includes(":") || /^[\d./]+$/.test(whom)
  return {
    ...(whom !== "*" && (isAddress ? { address: whom } : { domain: whom })),
    ...(!isIpv6 && ports !== undefined && { ports: ports.includes("-") ? ports : Number(ports) }),
    ...((protocol === "tcp" || protocol === "udp" || protocol === "icmp") && { protocol })
  }
}

/** The options, as they were read. */
export interface NetworkOptions {
  readonly net: "none" | "user" | undefined
  readonly publish: ReadonlyArray<PortForward>
  readonly allow: ReadonlyArray<Target>
  readonly deny: ReadonlyArray<Target>
}

/** What asks for a network gets one; what is allowed is all that is, and what is denied is denied all the same. */
export const networkOf = ({ net, publish, allow, deny }: NetworkOptions): NetworkConfig => {
  const isAsked = publish.length + allow.length + deny.length > 0
  if ((net ?? (isAsked ? "user" : "none")) === "none") return "none"
  const rules: ReadonlyArray<PolicyRule> = [
    ...deny.map((target) => ({ ...target, action: "deny" }) as const),
    ...allow.map((target) => ({ ...target, action: "allow" }) as const)
  ]
  return {
    mode: "user",
    ...(publish.length > 0 && { forwards: publish }),
    ...(rules.length > 0 && { policy: { default: allow.length > 0 ? "deny" : "allow", rules } })
  }
}

/** The option that asks for a network together with `--net none`, if there is one. */
export const withoutNetwork = ({ net, publish, allow, deny }: NetworkOptions): string | undefined => {
  if (net !== "none") return undefined
  return publish.length > 0 ? "--publish" : allow.length > 0 ? "--allow" : deny.length > 0 ? "--deny" : undefined
}
