/**
 * Machines on one switch. CAPSA_TEST_NETWORK=full sends 50 MiB from each of three to each. They need the lab, and
 * CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default).
 */
import { describe, expect } from "bun:test"
import type { SwitchNetwork } from "@capsa/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Vm from "../src/Vm.ts"
import { host, noise, sha256, source } from "./fixtures/hostNetwork.ts"
import { equipped, listening, mib, small, test } from "./fixtures/networkGuests.ts"
import { quick } from "./fixtures/realBackend.ts"

const sentMib = Bun.env["CAPSA_TEST_NETWORK"] === "full" ? 50 : 5

const show = (what: string, figures: object) =>
  Effect.sync(() => void process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`))

type Guest = Effect.Effect.Success<ReturnType<typeof small>>

const addressOf = ({ done }: Guest) =>
  Effect.map(done("ip -o -4 address show eth0"), (output) => / (\d+\.\d+\.\d+\.\d+)\//.exec(output)?.[1] ?? output)

/** A machine with a file to send. */
const member = Effect.fnUntraced(function* (network: SwitchNetwork) {
  const guest = yield* equipped(network)
  const sum = yield* guest.done(`head -c ${sentMib * mib} /dev/urandom >/tmp/file; sha256sum </tmp/file`)
  return { ...guest, sum, address: yield* addressOf(guest) }
})

/** Takes a file at each of these ports, one after the other or at once. */
const takes = ({ run }: Guest, ports: ReadonlyArray<number>) =>
  run(
    ports
      .map((port) => `rm -f /tmp/${port}; ((socat -u TCP4-LISTEN:${port},reuseaddr - | sha256sum >/tmp/${port}) &)`)
      .concat(ports.map((port) => listening("tcp", port)))
      .join("; ")
  )

const taken = ({ done }: Guest, port: number) => done(`until [ -s /tmp/${port} ]; do sleep 1; done; cat /tmp/${port}`)

describe("switches", () => {
  test("machines reach each other and nobody else", () =>
    Effect.gen(function* () {
      const lan = { mode: "switch", switch: "lan" } as const
      const one = yield* equipped({ ...lan, address: "10.0.3.20" })
      const two = yield* equipped(lan)
      const address = (yield* two.done("ip -o -4 address show eth0")).match(/ (10\.0\.3\.\d+)\/24 /)?.[1] ?? ""
      expect(yield* one.done("ip -o -4 address show eth0")).toContain(" 10.0.3.20/24 ")
      yield* one.done(`ping -c 2 ${address}`)
      yield* two.run(`((socat -u TCP4-LISTEN:9000 - | sha256sum >/tmp/got) &); ${listening("tcp", 9000)}`)
      const sum = yield* one.done(`head -c ${20 * mib} /dev/urandom >/tmp/file; sha256sum </tmp/file`)
      yield* one.done(`socat -u /tmp/file TCP4:${address}:9000`)
      expect(yield* two.done("until [ -s /tmp/got ]; do sleep 1; done; cat /tmp/got")).toBe(sum)
      // There is no way out.
      expect((yield* one.run(`nc -w 5 ${host.ipv4} 80 </dev/null`)).exitCode).not.toBe(0)
      const taken = yield* Effect.flip(equipped({ ...lan, address: "10.0.3.20" }))
      expect(taken).toMatchObject({ _tag: "VmBootError", reason: "NetworkUnavailable" })
      yield* one.vm.pause
      expect((yield* two.run("ping -c 1 -W 2 10.0.3.20")).exitCode).not.toBe(0)
      yield* one.vm.resume
      yield* two.done("ping -c 1 -W 60 10.0.3.20")
    }))

  test("with an uplink they reach the host as its policy says", () =>
    Effect.gen(function* () {
      const bytes = noise(mib)
      const from = yield* source(host.ipv4, bytes)
      const lan = { mode: "switch", switch: "out", subnet: "10.7.0.0/16", uplink: "public" } as const
      const one = yield* small(lan)
      const two = yield* small(lan)
      // Its input never ends: busybox would give the connection up.
      const fetched = `mkfifo /tmp/in; nc -w 100 ${host.ipv4} ${from.port} <>/tmp/in | sha256sum`
      for (const { done } of [one, two]) expect(yield* done(fetched)).toBe(`${sha256(bytes)}  -`)
      yield* one.vm.network.setPolicy({ rules: [{ action: "deny", address: host.ipv4 }] })
      // It is the switch's.
      expect((yield* two.run(`nc -w 100 ${host.ipv4} ${from.port} </dev/null`)).output).toContain("refused")
      const other = yield* Effect.flip(small({ ...lan, uplink: "open" }))
      expect(other).toMatchObject({ _tag: "VmBootError", reason: "NetworkUnavailable" })
    }))

  test(`three send ${sentMib} MiB to each other at once, and one that stands still delays nobody`, () =>
    Effect.gen(function* () {
      const lan = { mode: "switch", switch: "three" } as const
      const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
      const members = yield* Effect.all([member(lan), member(lan), Scope.extend(member(lan), scope)])
      const portFrom = (sender: (typeof members)[number]) => 9000 + members.indexOf(sender)
      const peersOf = (one: (typeof members)[number]) => members.filter((other) => other !== one)
      for (const one of members) {
        for (const { address } of peersOf(one)) yield* one.done(`ping -c 2 ${address}`)
        yield* takes(one, peersOf(one).map(portFrom))
      }
      const sends = (one: (typeof members)[number]) =>
        peersOf(one).map(({ address }) => `socat -u /tmp/file TCP4:${address}:${portFrom(one)} &`)
      const [sending] = yield* Effect.timed(
        Effect.forEach(members, (one) => one.done(`(${sends(one).join(" ")} wait)`), { concurrency: "unbounded" })
      )
      for (const one of members) {
        for (const other of peersOf(one)) expect(yield* taken(one, portFrom(other))).toBe(other.sum)
      }
      yield* show("three on a switch", { sentMib: 6 * sentMib, sendingMs: Duration.toMillis(sending) })

      const [one, two, three] = members
      yield* three.vm.pause
      // More than its queue holds.
      yield* one.done(`head -c ${4 * mib} /tmp/file | socat -u -b 1400 - UDP4-SENDTO:${three.address}:9`)
      yield* takes(two, [9000])
      const [alone] = yield* Effect.timed(one.done(`socat -u /tmp/file TCP4:${two.address}:9000`))
      expect(yield* taken(two, 9000)).toBe(one.sum)
      yield* show("beside one that stands still", { sentMib, sendingMs: Duration.toMillis(alone) })
      yield* three.vm.resume
      yield* takes(three, [9000])
      yield* one.done(`socat -u /tmp/file TCP4:${three.address}:9000`)
      expect(yield* taken(three, 9000)).toBe(one.sum)

      // Whoever comes after it has its place.
      yield* Scope.close(scope, Exit.void)
      expect((yield* one.run(`ping -c 1 -W 2 ${three.address}`)).exitCode).not.toBe(0)
      const next = yield* small({ ...lan, address: three.address })
      expect(yield* addressOf(next)).toBe(three.address)
      // It speaks first: the others still know the hardware that had the address.
      yield* next.done(`ping -c 2 ${one.address}`)
      yield* one.done(`ping -c 2 ${three.address}`)
    }))

  test("what comes from another's address is dropped", () =>
    Effect.gen(function* () {
      const lan = { mode: "switch", switch: "honest" } as const
      const [liar, witness] = yield* Effect.all([equipped(lan), equipped(lan)])
      const [own, address] = [yield* addressOf(liar), yield* addressOf(witness)]
      const hardware = yield* witness.done("cat /sys/class/net/eth0/address")
      yield* liar.done(`ping -c 2 ${address}; ip address add 10.0.3.99/24 dev eth0`)
      const sends = (text: string, source: string) =>
        liar.done(`echo ${text} | socat -u - UDP4-SENDTO:${address}:9000,bind=${source}`)
      const sent = Effect.map(liar.done("cat /sys/class/net/eth0/statistics/tx_packets"), Number)
      yield* witness.run(`((socat -u UDP4-RECV:9000 - >/tmp/heard) &); ${listening("udp", 9000)}`)
      yield* sends("true", own)
      yield* witness.done("until [ -s /tmp/heard ]; do sleep 1; done")
      const before = yield* sent
      yield* sends("network", "10.0.3.99")
      // Its questions of ARP are dropped as well, so it is told the answer.
      yield* liar.done(`mac=$(cat /sys/class/net/eth0/address); ip link set eth0 address 02:00:00:00:00:99`)
      yield* liar.done(`arp -s ${address} ${hardware}`)
      yield* sends("hardware", own)
      yield* liar.done("ip link set eth0 address $mac")
      expect(yield* sent).toBeGreaterThanOrEqual(before + 2)
      // The frames of one machine keep their order, so that what comes before this was let through.
      yield* sends("again", own)
      expect(yield* witness.done("until grep -q again /tmp/heard; do sleep 1; done; cat /tmp/heard")).toBe(
        "true\nagain"
      )
    }))

  test("addresses of machines that have ended are given again, the longest unused first", () =>
    Effect.gen(function* () {
      const lan = { mode: "switch", switch: "narrow", subnet: "10.8.0.0/28" } as const
      const first = yield* small(lan)
      expect(yield* addressOf(first)).toBe("10.8.0.3")
      // Two are the switch's own, and the last is everybody's.
      const scopes = yield* Effect.replicateEffect(Scope.make(), 11)
      for (const scope of scopes) {
        yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
        yield* Scope.extend(Vm.launch({ boot: quick, memory: "64MiB", network: lan }), scope)
      }
      const [fourth, fifth] = scopes
      for (const scope of [fifth, fourth]) if (scope !== undefined) yield* Scope.close(scope, Exit.void)
      const [heir, next] = [yield* small(lan), yield* small(lan)]
      expect([yield* addressOf(heir), yield* addressOf(next)]).toEqual(["10.8.0.5", "10.8.0.4"])
      yield* first.done("ping -c 2 10.8.0.5")
    }))
})
