/** Networks and sockets. The servers are this process's, at the loopback; nothing outside is asked. */
import type { NetworkConfig } from "@capsa/core"
import type { Vm } from "capsa"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { booted, type Case, done, refused, type Setting, same } from "./Case.ts"

/** Answers each request with its path. */
const webServer = Effect.acquireRelease(
  Effect.sync(() =>
    Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => new Response(new URL(request.url).pathname) })
  ),
  (server) => Effect.promise(() => server.stop(true))
)

const gateway = "10.0.2.2"

/** Waits until the guest has its address. */
const networked = (setting: Setting, network: NetworkConfig) =>
  Effect.tap(booted(setting, { network }), (vm) =>
    done(setting, vm, "until ip -4 address show eth0 | grep -q 'inet '; do sleep 0.1; done")
  )

/** What the host's server says to the guest. */
const fetched = (setting: Setting, vm: Vm.Vm, port: number | undefined) =>
  done(setting, vm, `wget -q -O - http://${gateway}:${port}/hello`)

const freePort = Effect.sync(() => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  listener.stop(true)
  return listener.port
})

export const networks: ReadonlyArray<Case> = [
  {
    name: "a user-mode network gives an address, pings its gateway and reaches the host where that is open",
    claim: "features.userNetwork",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const { port } = yield* webServer
      const vm = yield* networked(setting, { mode: "user", policy: "open" })
      yield* done(setting, vm, "ip -o -4 address show eth0 | grep -q ' 10.0.2.15/24 '")
      yield* done(setting, vm, `ping -c 1 ${gateway}`)
      yield* same("the answer", yield* fetched(setting, vm, port), "/hello")
    })
  },
  {
    name: "a policy refuses what is reached without it",
    claim: "features.networkPolicy",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const { port } = yield* webServer
      const open = yield* networked(setting, { mode: "user", policy: "open" })
      yield* fetched(setting, open, port)
      const guarded = yield* networked(setting, { mode: "user", policy: "public" })
      yield* refused("a connection to the host's loopback", fetched(setting, guarded, port))
    })
  },
  {
    name: "a forwarded port leads to the guest's server",
    claim: "features.portForwards",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const port = yield* freePort
      const vm = yield* networked(setting, { mode: "user", forwards: [{ host: port, guest: 80 }] })
      yield* done(setting, vm, "echo of the guest >/tmp/page; httpd -h /tmp")
      const page = Effect.tryPromise(async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/page`)
        return answer.text()
      })
      const got = yield* page.pipe(Effect.retry(Schedule.spaced("100 millis")), Effect.timeout(setting.guest.patience))
      yield* same("the page", got, "of the guest\n")
    })
  },
  {
    name: "machines on a switch reach each other by their addresses",
    claim: "features.switchNetwork",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const name = `kit-${crypto.randomUUID().slice(0, 8)}`
      const on = (address: string) => networked(setting, { mode: "switch", switch: name, address })
      const [one] = yield* Effect.all([on("10.0.3.11"), on("10.0.3.12")], { concurrency: 2 })
      yield* done(setting, one, "ping -c 1 10.0.3.12")
    })
  },
  {
    name: "a TAP device is the guest's link",
    claim: "features.tapNetwork",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      // Without one the backend is asked all the same: it may have to refuse.
      const vm = yield* booted(setting, { network: { mode: "tap", device: setting.tapDevice ?? "tap0" } })
      yield* done(setting, vm, "ip link set eth0 up && cat /sys/class/net/eth0/address")
    })
  },
  {
    name: "vsock reaches who listens in the guest, and is refused by who does not",
    claim: "features.vsock",
    needsLinux: true,
    prove: Effect.fnUntraced(function* (setting) {
      const vm = yield* booted(setting, { vsock: true })
      // Of the guest's agent.
      yield* vm.vsock.connect(52, { timeout: setting.guest.patience })
      const { reason } = yield* refused("a port where nobody listens", vm.vsock.connect(53, { timeout: "10 seconds" }))
      yield* same("the reason", reason, "Refused")
    })
  }
]
