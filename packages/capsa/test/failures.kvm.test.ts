/** Every reason that only capsa's own monitor has, from its real cause. */

import { expect } from "bun:test"
import { Backend } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { Kvm } from "@capsa/kvm"
import { planOf } from "@capsa/testing"
import { type Cause, type ofMonitor, produces } from "@capsa/testing/failures"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { capabilities, quick } from "./fixtures/realBackend.ts"

const { kernel } = quick
// Where it can, the monitor adds to the command line.
const discovery = capabilities.discovery.includes("cmdline") ? "cmdline" : "firmware"

const causes: Record<
  | (typeof ofMonitor)[number]
  | "VmBootError.ShareUnavailable"
  | "VmBootError.NetworkUnavailable"
  | "VmBootError.PortUnavailable",
  Cause<unknown, Backend | Scope.Scope>
> = {
  // A configuration's command line is refused before.
  "VmBootError.CmdlineInvalid": {
    happens: Effect.flatMap(Backend, ({ boot }) => boot(planOf({ kernel, cmdline: "a".repeat(5000), discovery }))),
    says: { subject: kernel, field: "cmdline", stage: "created", message: expect.stringContaining("bytes") }
  },
  // A configuration's folder is looked at before; it may go away, or become a file, after that.
  "VmBootError.ShareUnavailable": {
    happens: Effect.flatMap(Backend, ({ boot }) =>
      boot(
        planOf({
          kernel,
          shares: [{ host: kernel, guest: "/data", mode: "ro", tag: "data", cache: "auto" }]
        })
      )
    ),
    says: { subject: kernel, operation: "open", errno: "ENOTDIR", message: expect.stringContaining("folder") }
  },
  "VmBootError.NetworkUnavailable": {
    happens: Effect.flatMap(Backend, ({ boot }) =>
      boot(planOf({ kernel, network: { mode: "tap", mac: "02:00:00:00:00:01", device: "capsa-nowhere" } }))
    ),
    says: { subject: "capsa-nowhere", hint: expect.stringContaining("ip tuntap add") }
  },
  "VmBootError.PortUnavailable": {
    happens: Effect.gen(function* () {
      const { boot } = yield* Backend
      const server = yield* Effect.acquireRelease(
        Effect.sync(() => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })),
        (server) => Effect.sync(() => server.stop())
      )
      const forward = { protocol: "tcp", address: "127.0.0.1", host: server.port, guest: 80 } as const
      const network = { mode: "user", mac: "02:00:00:00:00:01", policy: "public", forwards: [forward] } as const
      return yield* boot(planOf({ kernel, network: { ...network, dnsServers: [], dnsSearch: [] } }))
    }),
    says: { operation: "bind", errno: "EADDRINUSE", subject: expect.stringMatching(/^TCP port \d+ of 127\.0\.0\.1$/) }
  }
}

produces(Failure.Failure, causes, (effect) => effect.pipe(Effect.scoped, Effect.provide(Kvm.layer)), {
  timeoutMs: 300_000
})
