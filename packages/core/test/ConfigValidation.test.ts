import { describe, expect, test } from "bun:test"
import * as Effect from "effect/Effect"
import type { NetworkConfig, PolicyRule } from "../src/NetworkConfig.ts"
import type { VmConfig } from "../src/VmConfig.ts"
import { check, little, problem, refused } from "./fixtures/validation.ts"

/** Every field, as a literal: that it compiles is half of the test. */
const most: VmConfig = {
  name: "a.b-c_9",
  boot: { kernel: "/k", initrd: "/i", cmdline: "quiet", console: "virtio", discovery: "firmware" },
  cpus: 8,
  memory: "4GiB",
  disks: [
    { path: "/disk", serial: "root" },
    { path: "/q", format: "qcow2", ephemeral: true },
    { path: "/q-based", format: "qcow2", backing: [{ path: "/q2", format: "qcow2" }] },
    { path: "/fixed", readOnly: true },
    { path: "/dev/sdx", blockDevice: true }
  ],
  shares: [
    { host: "/folder", guest: "/work", mode: "rw", tag: "work", uid: 1000 },
    { host: "/fixed-folder", guest: "/srv/with space" }
  ],
  network: {
    mode: "user",
    policy: {
      default: "deny",
      rules: [
        { action: "log", protocol: "icmp" },
        { action: "allow", domain: "*.example.org", ports: 443, protocol: "tcp" },
        { action: "deny", address: "10.0.0.0/8", ports: "8000-8099" },
        { action: "allow", address: "2001:db8::/32" },
        { action: "deny", domain: "Example.org." },
        { action: "allow" }
      ],
      recheck: true
    },
    forwards: [
      { host: 8080, guest: 80 },
      { host: 8080, guest: 80, protocol: "udp" },
      { host: 8080, guest: 80, address: "127.0.0.2" }
    ],
    dns: { servers: ["192.0.2.53", "192.0.2.54"], search: ["example.org"] }
  },
  vsock: true,
  balloon: true,
  console: { historyBytes: 4096 },
  limits: {
    cpus: 1.5,
    memory: "5GiB",
    pids: 64,
    io: { readPerSecond: "100MiB", writePerSecond: 50, readOpsPerSecond: 1000, writeOpsPerSecond: 500 }
  },
  isolation: "process",
  main: { argv: ["/bin/sh", "-c", "exit 3"], env: { PATH: "/bin", EMPTY: "" }, cwd: "/work", user: "1000:1000" },
  readyTimeout: "30 seconds",
  maxLifetime: 3_600_000
}

describe("ConfigValidation.validate", () => {
  test.each<[string, VmConfig]>([
    ["all fields", most],
    ["none", {}],
    ["what asks for nothing", { disks: [], shares: [], network: "none", vsock: false, isolation: "inline" }],
    ["the policy open", { network: { mode: "user", policy: "open" } }],
    ["the policy public", { network: { mode: "user", policy: "public" } }],
    ["the policy none", { network: { mode: "user", policy: "none" } }],
    ["a TAP device", { network: { mode: "tap", device: "tap0" } }],
    ["a switch", { network: { mode: "switch", switch: "lan", address: "10.0.3.7" } }],
    ["firmware", { boot: { firmware: "uefi", variables: "/disk" }, disks: [{ path: "/disk" }] }],
    ["firmware whose variables are still to be made", { boot: { firmware: "uefi", variables: "/folder/new" } }]
  ])("is content with %s", (_, config) => {
    expect(Effect.runSync(check(config))).toBeUndefined()
  })

  test.each([
    ["/none", "There is no file /none."],
    ["/folder", "/folder is no file."],
    ["/empty", "/empty is empty."],
    ["/secret", "/secret may not be read."]
  ])("kernel %s: %s", (kernel, detail) => {
    expect(problem({ boot: { kernel } })).toMatchObject({ reason: "Invalid", path: "boot.kernel", detail, count: 1 })
  })

  test("an initrd that memory cannot hold", () => {
    expect(problem({ boot: { kernel: "/k", initrd: "/big" } })).toMatchObject({
      reason: "Invalid",
      path: "boot.initrd",
      detail: "/big does not fit into 512MiB of memory.",
      count: 1
    })
  })

  const forward = (...forwards: ReadonlyArray<{ host: number; guest: number; address?: string }>): VmConfig => ({
    network: { mode: "user", forwards }
  })
  const rule = (conditions: Omit<PolicyRule, "action">): VmConfig => ({
    network: { mode: "user", policy: { rules: [{ action: "allow", ...conditions }] } }
  })
  const network = (config: NetworkConfig): VmConfig => ({ network: config })
  const main = (config: Partial<NonNullable<VmConfig["main"]>>): VmConfig => ({ main: { argv: ["true"], ...config } })

  test.each<[string, VmConfig, string]>([
    ["no processor", { cpus: 0 }, "cpus"],
    ["too little memory", { memory: 8 }, "memory"],
    ["a name with a space", { name: "no spaces" }, "name"],
    ["an empty name", { name: "" }, "name"],
    ["a tiny history", { console: { historyBytes: 100 } }, "console.historyBytes"],
    ["a line end in the command line", { boot: { kernel: "/k", cmdline: "a\nb" } }, "boot.cmdline"],
    ["an open quote", { boot: { kernel: "/k", cmdline: 'a="b' } }, "boot.cmdline"],
    ["a long command line", { boot: { kernel: "/k", cmdline: `a=${"b".repeat(2048)}` } }, "boot.cmdline"],
    ["variables in no folder", { boot: { firmware: "uefi", variables: "/none/vars" } }, "boot.variables"],
    ["variables that cannot be kept", { boot: { firmware: "uefi", variables: "/fixed" } }, "boot.variables"],
    ["a missing disk", { disks: [{ path: "/none" }] }, "disks.0.path"],
    ["a folder as disk", { disks: [{ path: "/folder" }] }, "disks.0.path"],
    ["an empty disk", { disks: [{ path: "/empty" }] }, "disks.0.path"],
    ["half a sector", { disks: [{ path: "/odd" }] }, "disks.0.path"],
    ["a disk that may not be written", { disks: [{ path: "/disk" }, { path: "/fixed" }] }, "disks.1.path"],
    ["two writers", { disks: [{ path: "/disk" }, { path: "/folder/../disk" }] }, "disks.1.path"],
    ["a reader beside a writer", { disks: [{ path: "/disk", readOnly: true }, { path: "/disk" }] }, "disks.1.path"],
    ["a raw image as qcow2", { disks: [{ path: "/disk", format: "qcow2" }] }, "disks.0.path"],
    ["an encrypted image", { disks: [{ path: "/q-secret", format: "qcow2" }] }, "disks.0.path"],
    ["content in another file", { disks: [{ path: "/q-elsewhere", format: "qcow2" }] }, "disks.0.path"],
    ["a base that is not named", { disks: [{ path: "/q-based", format: "qcow2" }] }, "disks.0.path"],
    [
      "a base's base that is not named",
      { disks: [{ path: "/q-based", format: "qcow2", backing: [{ path: "/q-based", format: "qcow2" }] }] },
      "disks.0.backing.0.path"
    ],
    [
      "a missing base",
      { disks: [{ path: "/q-based", format: "qcow2", backing: [{ path: "/none" }] }] },
      "disks.0.backing.0.path"
    ],
    [
      "a base for one that has none",
      { disks: [{ path: "/q", format: "qcow2", backing: [{ path: "/disk" }] }] },
      "disks.0.path"
    ],
    [
      "a base below a raw one",
      { disks: [{ path: "/q-based", format: "qcow2", backing: [{ path: "/disk" }, { path: "/odd" }] }] },
      "disks.0.backing.0.path"
    ],
    ["a base of a raw image", { disks: [{ path: "/disk", backing: [{ path: "/odd" }] }] }, "disks.0.backing"],
    ["a long serial", { disks: [{ path: "/disk", serial: "x".repeat(21) }] }, "disks.0.serial"],
    [
      "a serial twice",
      {
        disks: [
          { path: "/disk", serial: "a" },
          { path: "/dev/sdx", blockDevice: true, serial: "a" }
        ]
      },
      "disks.1.serial"
    ],
    ["a missing folder", { shares: [{ host: "/none", guest: "/a" }] }, "shares.0.host"],
    ["a file as folder", { shares: [{ host: "/k", guest: "/a" }] }, "shares.0.host"],
    ["a folder not to write to", { shares: [{ host: "/fixed-folder", guest: "/a", mode: "rw" }] }, "shares.0.host"],
    ["a relative place", { shares: [{ host: "/folder", guest: "a" }] }, "shares.0.guest"],
    ["a place that climbs", { shares: [{ host: "/folder", guest: "/a/../b" }] }, "shares.0.guest"],
    ["the root as place", { shares: [{ host: "/folder", guest: "//" }] }, "shares.0.guest"],
    ["an empty tag", { shares: [{ host: "/folder", guest: "/a", tag: "" }] }, "shares.0.tag"],
    ["nobody's uid", { shares: [{ host: "/folder", guest: "/a", uid: 2 ** 32 - 1 }] }, "shares.0.uid"],
    [
      "two shares at one place",
      {
        shares: [
          { host: "/folder", guest: "/a" },
          { host: "/folder", guest: "/a/" }
        ]
      },
      "shares.1.guest"
    ],
    [
      "a tag that another share has by itself",
      {
        shares: [
          { host: "/folder", guest: "/a" },
          { host: "/folder", guest: "/b", tag: "share0" }
        ]
      },
      "shares.1.tag"
    ],
    ["port 0", forward({ host: 0, guest: 80 }), "network.forwards.0.host"],
    ["a high port", forward({ host: 80, guest: 65_536 }), "network.forwards.0.guest"],
    ["a name to listen on", forward({ host: 80, guest: 80, address: "localhost" }), "network.forwards.0.address"],
    ["a port twice", forward({ host: 80, guest: 80 }, { host: 80, guest: 81 }), "network.forwards.1.host"],
    [
      "a port taken everywhere",
      forward({ host: 80, guest: 80, address: "0.0.0.0" }, { host: 80, guest: 81 }),
      "network.forwards.1.host"
    ],
    ["a prefix too long", rule({ address: "10.0.0.0/33" }), "network.policy.rules.0.address"],
    ["a name as address", rule({ address: "example.org" }), "network.policy.rules.0.address"],
    ["an address as name", rule({ domain: "192.0.2.7" }), "network.policy.rules.0.domain"],
    ["a wildcard inside", rule({ domain: "a.*.org" }), "network.policy.rules.0.domain"],
    ["a wildcard of nothing", rule({ domain: "*." }), "network.policy.rules.0.domain"],
    [
      "too many rules",
      {
        network: { mode: "user", policy: { rules: Array.from({ length: 1025 }, () => ({ action: "deny" as const })) } }
      },
      "network.policy.rules"
    ],
    ["address and name", rule({ address: "192.0.2.7", domain: "a.org" }), "network.policy.rules.0.domain"],
    ["ports backwards", rule({ ports: "90-80" }), "network.policy.rules.0.ports"],
    ["a negative port", rule({ ports: -1 }), "network.policy.rules.0.ports"],
    ["ports of ICMP", rule({ ports: 7, protocol: "icmp" }), "network.policy.rules.0.ports"],
    ["a server by name", network({ mode: "user", dns: { servers: ["dns.org"] } }), "network.dns.servers.0"],
    [
      "a server of IPv6, which DHCP cannot tell",
      network({ mode: "user", dns: { servers: ["2001:db8::53"] } }),
      "network.dns.servers.0"
    ],
    ["no subnet", network({ mode: "switch", switch: "lan", subnet: "10.0.3.1/24" }), "network.subnet"],
    [
      "a rule of an uplink",
      network({ mode: "switch", switch: "lan", uplink: { rules: [{ action: "deny", address: "x" }] } }),
      "network.uplink.rules.0.address"
    ],
    ["a server twice", network({ mode: "user", dns: { servers: ["1.1.1.1", "1.1.1.1"] } }), "network.dns.servers.1"],
    ["a search for nothing", network({ mode: "user", dns: { search: ["a..b"] } }), "network.dns.search.0"],
    ["a long device", network({ mode: "tap", device: "sixteen-letters0" }), "network.device"],
    ["a device with a slash", network({ mode: "tap", device: "a/b" }), "network.device"],
    ["a device called ..", network({ mode: "tap", device: ".." }), "network.device"],
    ["a switch with a space", network({ mode: "switch", switch: "a b" }), "network.switch"],
    ["IPv6 on a switch", network({ mode: "switch", switch: "a", address: "::1" }), "network.address"],
    ["no processor time", { limits: { cpus: 0 } }, "limits.cpus"],
    ["a limit below all machines", { limits: { memory: 1 } }, "limits.memory"],
    ["no process", { limits: { pids: 0 } }, "limits.pids"],
    ["no reading", { limits: { io: { readPerSecond: "0MiB" } } }, "limits.io.readPerSecond"],
    ["no writes", { limits: { io: { writeOpsPerSecond: 0 } } }, "limits.io.writeOpsPerSecond"],
    ["a nameless program", main({ argv: [""] }), "main.argv.0"],
    ["a NUL in an argument", main({ argv: ["a", "\0"] }), "main.argv.1"],
    ["a NUL in a variable", main({ env: { A: "\0" } }), "main.env.A"],
    ["a relative working folder", main({ cwd: "work" }), "main.cwd"],
    ["a user with a space", main({ user: "a b" }), "main.user"],
    ["no time to get ready", { readyTimeout: 0 }, "readyTimeout"],
    ["a life that timers cannot measure", { maxLifetime: "25 days" }, "maxLifetime"]
  ])("invalid: %s", (_, config, path) => {
    const found = problem(config)
    expect(found).toMatchObject({ reason: "Invalid", path, count: 1 })
    expect(found.refusal).toBeUndefined()
    expect(found.hint?.length).toBeGreaterThan(5)
  })

  test("all that is wrong is told at once, in the order of the fields, each with what to do", () => {
    const { reason, problems } = refused(
      {
        name: "?",
        boot: { kernel: "/none", initrd: "/folder", discovery: "cmdline", cmdline: "\0" },
        cpus: 100,
        memory: 1,
        disks: [{ path: "/none", serial: "" }],
        network: { mode: "tap", device: "" },
        console: { historyBytes: 1 },
        maxLifetime: 0
      },
      little
    )
    expect(reason).toBe("Invalid")
    expect(problems.map(({ path }) => path)).toEqual([
      "name",
      "boot.cmdline",
      "boot.kernel",
      "boot.initrd",
      "boot.discovery",
      "cpus",
      "memory",
      "disks.0.path",
      "disks.0.serial",
      "disks",
      "network.device",
      "network",
      "console.historyBytes",
      "maxLifetime"
    ])
    for (const { hint } of problems) expect(hint.length).toBeGreaterThan(5)
  })
})
