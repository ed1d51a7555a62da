import { describe, expect, test } from "bun:test"
import { networkOf, parsePublish, parseTarget } from "../src/network.ts"
import { parseDisk, parseShare } from "../src/options.ts"

describe("--disk", () => {
  test.each([
    ["root.img", { path: "root.img" }],
    ["a:b.img:ro", { path: "a:b.img", readOnly: true }],
    ["base.img:ephemeral", { path: "base.img", ephemeral: true }],
    ["base.img:ro:ephemeral", { path: "base.img", readOnly: true, ephemeral: true }],
    ["x:rw", { path: "x:rw" }],
    [":ro", { path: ":ro" }]
  ])("%s", (text, disk) => {
    expect(parseDisk(text)).toEqual(disk)
  })
})

describe("--share", () => {
  test.each([
    ["src:/src", { host: "src", guest: "/src" }],
    ["/a b:/c d:rw", { host: "/a b", guest: "/c d", mode: "rw" }],
    ["./out:/out:ro", { host: "./out", guest: "/out", mode: "ro" }]
  ])("%s", (text, share) => {
    expect(parseShare(text)).toEqual(share as typeof share & { mode?: "ro" | "rw" })
  })
})

describe("--publish", () => {
  test.each([
    ["8080:80", { host: 8080, guest: 80 }],
    ["0.0.0.0:8080:80/tcp", { address: "0.0.0.0", host: 8080, guest: 80, protocol: "tcp" }],
    ["[::1]:5353:53/udp", { address: "::1", host: 5353, guest: 53, protocol: "udp" }],
    ["80", undefined],
    ["a:80:80", undefined],
    ["80:80/icmp", undefined]
  ])("%s", (text, forward) => {
    expect(parsePublish(text) as unknown).toEqual(forward)
  })
})

describe("--allow and --deny", () => {
  test.each([
    ["example.org", { domain: "example.org" }],
    ["*.example.org:443", { domain: "*.example.org", ports: 443 }],
    ["10.0.0.0/8:8000-8099/tcp", { address: "10.0.0.0/8", ports: "8000-8099", protocol: "tcp" }],
    ["192.0.2.7/icmp", { address: "192.0.2.7", protocol: "icmp" }],
    ["2001:db8::/32", { address: "2001:db8::/32" }],
    ["2001:db8::7:53", { address: "2001:db8::7:53" }],
    ["[2001:db8::7]:53/udp", { address: "2001:db8::7", ports: 53, protocol: "udp" }],
    ["*:22", { ports: 22 }],
    ["*/udp", { protocol: "udp" }],
    ["", undefined]
  ])("%s", (text, target) => {
    expect(parseTarget(text) as unknown).toEqual(target)
  })

  const none = { net: undefined, publish: [], allow: [], deny: [] }
  test.each([
    [none, "none"],
    [{ ...none, net: "user" as const }, { mode: "user" }],
    [
      { ...none, publish: [{ host: 1, guest: 2 }] },
      { mode: "user", forwards: [{ host: 1, guest: 2 }] }
    ],
    [
      { ...none, deny: [{ ports: 25 }] },
      { mode: "user", policy: { default: "allow", rules: [{ action: "deny", ports: 25 }] } }
    ],
    [
      { ...none, allow: [{ domain: "a.org" }], deny: [{ ports: 25 }] },
      {
        mode: "user",
        policy: {
          default: "deny",
          rules: [
            { action: "deny", ports: 25 },
            { action: "allow", domain: "a.org" }
          ]
        }
      }
    ]
  ])("%j is a network", (options, network) => {
    expect(networkOf(options) as unknown).toEqual(network)
  })
})
