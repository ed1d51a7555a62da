import { describe, expect, test } from "bun:test"
import { isIPv4, isIPv6 } from "node:net"
import * as fc from "effect/FastCheck"
import { isAddress, isDomain, isIpv4, isIpv6, isRange } from "../src/internal/address.ts"

describe("addresses", () => {
  test("are told as the platform tells them", () => {
    const near = fc.string({ unit: fc.constantFrom(..."0123456789abf.:"), maxLength: 16 })
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), near)
    fc.assert(
      fc.property(text, (address) => {
        expect([address, isIpv4(address), isIpv6(address)]).toEqual([address, isIPv4(address), isIPv6(address)])
      }),
      { numRuns: 3000 }
    )
  })

  test.each([
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    "fe80::1%eth0",
    ":::",
    "[::1]",
    "::1 ",
    "1.2.3.4::",
    "localhost"
  ])("%p is none", (text) => expect(isAddress(text)).toBe(false))

  test("ranges have a prefix no longer than the address", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(200), (address, length) => {
        expect(isRange(`${address}/${length}`)).toBe(length <= 32)
      })
    )
    for (const text of ["::/0", "2001:db8::/128", "::1"]) expect([text, isRange(text)]).toEqual([text, true])
    for (const text of ["::/129", "1.2.3.4/", "1.2.3.4/8/8", "/8", "1.2.3.4/-1"]) {
      expect([text, isRange(text)]).toEqual([text, false])
    }
  })
})

describe("names of domains", () => {
  test("every domain is one", () => {
    fc.assert(fc.property(fc.domain(), (domain) => expect(isDomain(domain)).toBe(true)))
  })

  test.each(["", ".", "a..b", "-a.org", "a-.org", "a.org.", "*.org", "a b.org", "1.2.3.4", `${"x".repeat(64)}.org`])(
    "%p is none",
    (text) => expect(isDomain(text)).toBe(false)
  )
})
