/**
 * Networks of real guests, with servers of the test's own on the host. They need a host that is nobody else's: the lab.
 * CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default).
 */
import { describe, expect } from "bun:test"
import type { NetworkPolicy } from "@capsa/core"
import { GuestImages } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  datagrams,
  dnsServer,
  host,
  noise,
  sha256,
  sink,
  source,
  tapDevice,
  tlsServer
} from "./fixtures/hostNetwork.ts"
import { equipped, listening, mib, small, test } from "./fixtures/networkGuests.ts"
import { freePort } from "./fixtures/ports.ts"
import { quick, tiny } from "./fixtures/realBackend.ts"

const debian = await Effect.runPromise(Effect.provide(GuestImages.debian, BunContext.layer))

/** Each size comes back as it went. */
const echoes = (socket: Effect.Effect.Success<ReturnType<typeof datagrams>>, sizes: ReadonlyArray<number>) =>
  Effect.promise(async () => {
    const bytes = noise(1472)
    for (const size of sizes) {
      const sent = bytes.subarray(0, size)
      socket.send(sent)
      const got = await socket.next()
      expect({ size, same: Buffer.compare(got, sent) }).toEqual({ size, same: 0 })
    }
  })

const sizes = Array.from({ length: 1472 }, (_, index) => index + 1)

describe("networks", () => {
  for (const [kernel, boot] of [
    ["tiny", { ...quick, initrd: tiny.initrd }],
    ["Debian's", { kernel: debian.kernel, initrd: debian.initrd, console: "virtio" }]
  ] as const) {
    test(`a guest with ${kernel} kernel gets address, route and names by DHCP, and pings`, () =>
      Effect.gen(function* () {
        yield* dnsServer
        const { vm, done, run } = yield* small({ mode: "user", dns: { search: ["example.test"] } }, boot)
        expect(yield* done("ip -o -4 address show eth0")).toContain(" 10.0.2.15/24 ")
        expect(yield* done("ip route show default")).toContain("default via 10.0.2.2 dev eth0")
        expect(yield* done("cat /etc/resolv.conf")).toBe("search example.test\nnameserver 10.0.2.3")
        const mac = yield* done("cat /sys/class/net/eth0/address")
        expect(mac.replaceAll(":", "")).toBe(`02${vm.id.slice(-10)}`)
        expect(yield* done("nslookup www.example.test")).toContain(host.ipv4)
        expect((yield* run("nslookup nowhere.example.test")).exitCode).not.toBe(0)
        yield* done("ping -c 2 10.0.2.2")
        yield* done(`ping -c 2 ${host.ipv4}`)
      }))
  }

  test("streams are whole on four connections, both ways, while a fifth leads nowhere", () =>
    Effect.gen(function* () {
      const { done, run } = yield* equipped({ mode: "user" })
      const bytes = noise(25 * mib)
      const wanted = sha256(bytes)
      const from = yield* source(host.ipv4, bytes)
      const to = yield* sink(host.ipv4)
      yield* run(`((nc -w 600 ${host.blackHole} 80 </dev/null >/dev/null 2>&1; echo $? >/tmp/hole) &)`)
      const four = (command: string) => `(for n in 1 2 3 4; do (${command}) >/tmp/$n & done; wait; cat /tmp/[1-4])`
      const down = yield* done(four(`socat -u TCP4:${host.ipv4}:${from.port} - | sha256sum`))
      expect(down.split(/\r?\n/)).toEqual(Array(4).fill(`${wanted}  -`))
      // In memory, so that what is slow is the network.
      yield* done(`socat -u TCP4:${host.ipv4}:${from.port} - >/tmp/file`)
      const up = yield* done(four(`socat -t 600 - TCP4:${host.ipv4}:${to.port} </tmp/file`))
      expect(up.split(/\r?\n/)).toEqual(Array(4).fill("taken"))
      expect(to.hashes).toEqual(Array(4).fill(wanted))
      // Still waiting, or given up.
      yield* done("test ! -e /tmp/hole || ! grep -qx 0 /tmp/hole")
    }))

  test("datagrams of every size that fits", () =>
    Effect.gen(function* () {
      const port = freePort()
      const { run } = yield* equipped({ mode: "user", forwards: [{ host: port, guest: 9000, protocol: "udp" }] })
      // The guest speaks first, as behind a translation it has to.
      const server = yield* datagrams(host.ipv4)
      yield* run(`(socat UDP4:${host.ipv4}:${server.port} SYSTEM:'echo; exec cat' &)`)
      expect((yield* Effect.promise(server.next)).toString()).toBe("\n")
      yield* echoes(server, sizes)
      // And through a forwarded port the host does.
      yield* run(`(socat UDP4-LISTEN:9000 PIPE &); ${listening("udp", 9000)}`)
      const client = yield* datagrams("127.0.0.1", { hostname: "127.0.0.1", port })
      yield* echoes(client, sizes)
    }))

  test("TCP over IPv6", () =>
    Effect.gen(function* () {
      const { done } = yield* equipped({ mode: "user" })
      const bytes = noise(4 * mib)
      const from = yield* source(host.ipv6, bytes)
      const to = yield* sink(host.ipv6)
      yield* done("until ip -6 route show default | grep -q . && ! ip -6 address | grep -q tentative; do sleep 1; done")
      expect(yield* done("ip -o -6 address show eth0 scope global")).toMatch(/ fd00::/)
      yield* done(`socat -u TCP6:[${host.ipv6}]:${from.port} - >/tmp/file`)
      expect(yield* done("sha256sum </tmp/file")).toBe(`${sha256(bytes)}  -`)
      expect(yield* done(`socat -t 600 - TCP6:[${host.ipv6}]:${to.port} </tmp/file`)).toBe("taken")
      expect(to.hashes).toEqual([sha256(bytes)])
    }))

  test("forwarded ports lead in, several at once, beside DNS and pings", () =>
    Effect.gen(function* () {
      yield* dnsServer
      const [web, upload, echo] = [freePort(), freePort(), freePort()]
      const { done, run } = yield* equipped({
        mode: "user",
        forwards: [
          { host: web, guest: 80 },
          { host: upload, guest: 81, address: "0.0.0.0" },
          { host: echo, guest: 82, protocol: "udp" }
        ]
      })
      const bytes = noise(50 * mib)
      const wanted = sha256(bytes)
      const from = yield* source(host.ipv4, bytes)
      yield* done(
        `mkdir /tmp/www && socat -u TCP4:${host.ipv4}:${from.port} - >/tmp/www/file && httpd -p 80 -h /tmp/www`
      )
      yield* run("((socat -u TCP4-LISTEN:81 - | sha256sum >/tmp/uploaded) &); (socat UDP4-LISTEN:82 PIPE &)")
      yield* run(`${listening("tcp", 81)}; ${listening("udp", 82)}`)
      const client = yield* datagrams("127.0.0.1", { hostname: "127.0.0.1", port: echo })
      const fetched = Effect.promise(async () => (await fetch(`http://127.0.0.1:${web}/file`)).bytes())
      const uploaded = Effect.promise(async () => {
        const closed = Promise.withResolvers<void>()
        let at = 0
        const pump = (socket: Bun.Socket) => {
          while (at < bytes.length) {
            const taken = socket.write(bytes.subarray(at, at + 256 * 1024))
            if (taken <= 0) return
            at += taken
          }
          socket.end()
        }
        await Bun.connect({
          hostname: host.ipv4,
          port: upload,
          socket: { open: pump, drain: pump, data: () => {}, close: () => closed.resolve() }
        })
        await closed.promise
      })
      const [file] = yield* Effect.all(
        [
          fetched,
          uploaded,
          echoes(client, sizes.slice(0, 100)),
          done("ping -c 3 10.0.2.2 && nslookup www.example.test")
        ],
        { concurrency: "unbounded" }
      )
      expect(sha256(file)).toBe(wanted)
      expect(yield* done("until [ -s /tmp/uploaded ]; do sleep 1; done; cat /tmp/uploaded")).toBe(`${wanted}  -`)
    }))
})

describe("policies", () => {
  const tcp = { protocol: "tcp" } as const

  test("what a rule denies is reset, and what it allows is reached", () =>
    Effect.gen(function* () {
      yield* dnsServer
      const { vm, run } = yield* small({ mode: "user" })
      const bytes = noise(1000)
      const ports = {
        [host.ipv4]: (yield* source(host.ipv4, bytes)).port,
        [host.other]: (yield* source(host.other, bytes)).port,
        [host.private]: (yield* source(host.private, bytes)).port,
        [host.metadata]: (yield* source(host.metadata, bytes)).port,
        "10.0.2.2": (yield* source("127.0.0.1", bytes)).port
      }
      type Place = keyof typeof ports
      const isPlace = (text: string): text is Place => Object.hasOwn(ports, text)
      const named: Record<string, Place> = {
        "www.example.test": host.ipv4,
        "example.test": host.ipv4,
        "other.example.test": host.other
      }
      /** Refused means that a reset came: what is silent ends by the time that is given, with another word. */
      const reaches = (place: string) =>
        Effect.gen(function* () {
          const port = ports[isPlace(place) ? place : (named[place] ?? host.ipv4)]
          const { output } = yield* run(
            `nc -w 100 ${place} ${port} </dev/null 2>&1 | wc -c; nc -w 100 ${place} ${port} </dev/null 2>&1 >/dev/null`
          )
          if (/^1000\s*$/.test(output)) return "reached"
          return output.includes("refused") ? "refused" : output.includes("bad address") ? "no such name" : output
        })
      const cases: ReadonlyArray<[policy: NetworkPolicy, outcomes: Record<string, string>]> = [
        [
          "public",
          {
            [host.ipv4]: "reached",
            "10.0.2.2": "refused",
            [host.metadata]: "refused",
            [host.private]: "refused",
            "www.example.test": "reached"
          }
        ],
        ["open", { "10.0.2.2": "reached", [host.metadata]: "reached", [host.private]: "reached" }],
        ["none", { [host.ipv4]: "refused", "www.example.test": "no such name" }],
        [
          { default: "deny", rules: [{ action: "allow", address: "10.0.2.3" }] },
          { [host.ipv4]: "refused", "www.example.test": "refused" }
        ],
        [{ rules: [{ action: "deny", ports: ports[host.ipv4] }] }, { [host.ipv4]: "refused", [host.other]: "reached" }],
        [
          { default: "deny", rules: [{ action: "allow", address: "198.51.100.2/31" }] },
          { [host.ipv4]: "refused", [host.other]: "reached" }
        ],
        [
          {
            rules: [
              { action: "allow", address: "10.0.2.2" },
              { action: "allow", address: "10.9.9.0/24" }
            ]
          },
          { "10.0.2.2": "reached", [host.private]: "reached", [host.metadata]: "refused" }
        ],
        [
          { default: "deny", rules: [{ action: "allow", domain: "*.example.test" }] },
          { "www.example.test": "reached", "other.example.test": "reached", "example.test": "no such name" }
        ],
        [
          {
            default: "deny",
            rules: [
              { action: "allow", domain: "cdn.example.net" },
              { action: "allow", domain: "example.test" }
            ]
          },
          { "example.test": "reached", "other.example.test": "no such name", [host.other]: "refused" }
        ],
        [
          {
            default: "deny",
            rules: [
              { action: "log", protocol: "tcp" },
              { action: "allow", address: host.ipv4 }
            ]
          },
          { [host.ipv4]: "reached" }
        ]
      ]
      for (const [policy, outcomes] of cases) {
        yield* vm.network.setPolicy(policy)
        for (const [place, outcome] of Object.entries(outcomes)) {
          expect({ policy, place, outcome: yield* reaches(place) }).toEqual({ policy, place, outcome })
        }
      }
    }))

  test("TLS to an address of an allowed name is for that name alone", () =>
    Effect.gen(function* () {
      yield* dnsServer
      const { run } = yield* equipped({
        mode: "user",
        policy: { default: "deny", rules: [{ action: "allow", domain: "www.example.test" }] }
      })
      const servers = {
        [host.ipv4]: yield* tlsServer(host.ipv4),
        [host.other]: yield* tlsServer(host.other)
      }
      const asks = (address: keyof typeof servers, place: string, option: string) =>
        Effect.gen(function* () {
          const { port, greeted } = servers[address]
          const before = greeted()
          const { output } = yield* run(`socat -u OPENSSL:${place}:${port},verify=0,${option} - 2>&1`)
          const outcome = /^welcome\s*$/.test(output) ? "welcome" : /reset|refused/.test(output) ? "refused" : output
          return { outcome, handshakes: greeted() - before }
        })
      const welcome = { outcome: "welcome", handshakes: 1 }
      const refused = { outcome: "refused", handshakes: 0 }
      // Nobody has asked for its name yet.
      expect(yield* asks(host.ipv4, host.ipv4, "snihost=www.example.test")).toEqual(refused)
      expect(yield* asks(host.ipv4, "www.example.test", "snihost=www.example.test")).toEqual(welcome)
      // Now the address is that of an allowed name, and of whoever else its servers serve.
      expect(yield* asks(host.ipv4, host.ipv4, "snihost=www.example.test")).toEqual(welcome)
      expect(yield* asks(host.ipv4, host.ipv4, "snihost=secrets.example.net")).toEqual(refused)
      expect(yield* asks(host.ipv4, "www.example.test", "snihost=secrets.example.net")).toEqual(refused)
      expect(yield* asks(host.ipv4, host.ipv4, "nosni")).toEqual(refused)
      // An address that the name has not led to is none of its own, whatever TLS says.
      expect(yield* asks(host.other, host.other, "snihost=www.example.test")).toEqual(refused)
    }))

  test("explains itself, keeps a log, and lets connections live on", () =>
    Effect.gen(function* () {
      const { vm, run, done } = yield* equipped({
        mode: "user",
        policy: { rules: [{ action: "deny", address: host.other }] }
      })
      const { explain } = vm.network
      expect(yield* explain({ ...tcp, address: host.other, port: 80 })).toMatchObject({
        action: "deny",
        reason: "rule",
        rule: 0
      })
      expect(yield* explain({ ...tcp, address: host.ipv4, port: 80 })).toMatchObject({
        action: "allow",
        reason: "default"
      })
      expect(yield* explain({ ...tcp, address: "10.0.2.2", port: 80 })).toMatchObject({
        reason: "closed",
        closed: "host"
      })
      expect(yield* explain({ ...tcp, address: host.metadata, port: 80 })).toMatchObject({ closed: "linkLocal" })
      expect((yield* Effect.flip(explain({ ...tcp, address: "nowhere" })))._tag).toBe("VmConfigError")
      yield* run(`nc -w 100 ${host.other} 80 </dev/null`)
      expect(yield* Stream.runHead(vm.network.log)).toMatchObject({
        _tag: "Some",
        value: { action: "deny", rule: 0, flow: { address: host.other, port: 80 } }
      })
      // Rules without recheck are for new connections.
      const to = yield* sink(host.ipv4)
      yield* run(
        `mkfifo /tmp/in; (socat -t 600 - TCP4:${host.ipv4}:${to.port} </tmp/in >/tmp/out &); exec 3>/tmp/in; echo one >&3`
      )
      yield* Effect.promise(() => to.arrived)
      yield* vm.network.setPolicy("none")
      yield* done("echo two >&3; exec 3>&-; until grep -q taken /tmp/out; do sleep 1; done")
      expect(to.hashes).toEqual([sha256(new TextEncoder().encode("one\ntwo\n"))])
    }))
})

describe("TAP devices", () => {
  test("carry frames as long as they say", () =>
    Effect.gen(function* () {
      yield* tapDevice("capsatap", "10.8.0.1/24", { mtu: 4000 })
      const { done } = yield* small({ mode: "tap", device: "capsatap" })
      expect(yield* done("cat /sys/class/net/eth0/mtu")).toBe("4000")
      yield* done("ip address add 10.8.0.2/24 dev eth0 && ip link set eth0 up")
      yield* done("ping -c 2 -s 3900 10.8.0.1")
    }))

  const device = "capsatap0"
  const made = tapDevice(device, "192.0.2.1/24")

  test("a guest reaches the host's address on a device, and the host the guest's", () =>
    Effect.gen(function* () {
      yield* made
      const { done, run } = yield* equipped({ mode: "tap", device })
      yield* done("ip address flush dev eth0; ip address add 192.0.2.2/24 dev eth0; ip link set eth0 up")
      yield* done("ping -c 2 192.0.2.1")
      const bytes = noise(4 * mib)
      const from = yield* source("192.0.2.1", bytes)
      yield* done(`socat -u TCP4:192.0.2.1:${from.port} - >/tmp/file`)
      expect(yield* done("sha256sum </tmp/file")).toBe(`${sha256(bytes)}  -`)
      yield* run(`(socat -u /tmp/file TCP4-LISTEN:9000 &); ${listening("tcp", 9000)}`)
      const back = Bun.spawn(["socat", "-u", "TCP4:192.0.2.2:9000", "-"], { stdout: "pipe", stderr: "inherit" })
      expect(sha256(yield* Effect.promise(() => back.stdout.bytes()))).toBe(sha256(bytes))
      // One machine a device.
      const second = yield* Effect.flip(small({ mode: "tap", device }))
      expect(second).toMatchObject({ _tag: "VmBootError", reason: "NetworkUnavailable" })
    }))

  test("a device that is not there is an error", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(small({ mode: "tap", device: "capsatap9" }))
      expect(missing).toMatchObject({
        _tag: "VmBootError",
        reason: "NetworkUnavailable",
        message: expect.stringContaining("capsatap9"),
        hint: expect.stringContaining("ip tuntap add")
      })
    }))

  test("a device of another user's is an error", () =>
    Effect.gen(function* () {
      yield* made
      const unprivileged = ["setpriv", "--bounding-set", "-net_admin"]
      const program = `${import.meta.dir}/fixtures/tapFailure.ts`
      const child = Bun.spawn([...unprivileged, process.execPath, program, quick.kernel, device], {
        stdout: "pipe",
        stderr: "inherit"
      })
      expect(yield* Effect.promise(() => child.stdout.json())).toMatchObject({
        _tag: "VmBootError",
        reason: "NetworkUnavailable"
      })
    }))
})
