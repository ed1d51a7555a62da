/** Whether it is an IPv4 address in dotted decimals, without leading zeros, which some programs read as octal. */
export const isIpv4 = (text: string): boolean => {
  const parts = text.split(".")
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

/** Whether it is an IPv6 address (RFC 4291, 2.2) without a zone. */
export const isIpv6 = (text: string): boolean => {
  const halves = text.split("::")
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")))
  const last = groups.at(-1) ?? ""
  const endsInIpv4 = isIpv4(last) && text.endsWith(last)
  const hex = endsInIpv4 ? [...groups.slice(0, -1), "0", "0"] : groups
  const isLength = halves.length === 1 ? hex.length === 8 : halves.length === 2 && hex.length < 8
  return isLength && hex.every((group) => /^[\da-fA-F]{1,4}$/.test(group))
}

export const isAddress = (text: string): boolean => isIpv4(text) || isIpv6(text)

/** Whether it is an address, or one with the length of a prefix: "10.0.0.0/8". */
export const isRange = (text: string): boolean => {
  const [address = "", length, ...more] = text.split("/")
  if (length === undefined) return isAddress(address)
  const longest = isIpv4(address) ? 32 : isIpv6(address) ? 128 : -1
  return more.length === 0 && /^\d{1,3}$/.test(length) && Number(length) <= longest
}

/** Whether it is the name of a domain (RFC 1123); no address is one, since a top-level domain is no number. */
export const isDomain = (text: string): boolean => {
  const labels = text.split(".")
  const isLabel = (label: string) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label)
  return text.length <= 253 && labels.every(isLabel) && !/^\d+$/.test(labels.at(-1) ?? "")
}
