/** Every reason that only capsa's own monitor has, from its real cause. */

import { expect } from "bun:test"
import { Backend } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { GuestImages } from "@capsa/guest"
import { Kvm } from "@capsa/kvm"
import { planOf } from "@capsa/testing"
import { type Cause, type ofMonitor, produces } from "@capsa/testing/failures"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const { vmlinux } = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const causes: Record<(typeof ofMonitor)[number], Cause<unknown, Backend | Scope.Scope>> = {
  // A configuration's command line is refused before; only the monitor adds to it, and only the kernel has its limit.
  "VmBootError.CmdlineInvalid": {
    happens: Effect.flatMap(Backend, ({ boot }) =>
      boot(planOf({ kernel: vmlinux, cmdline: "a".repeat(5000), discovery: "cmdline" }))
    ),
    says: { subject: vmlinux, field: "cmdline", stage: "created", message: expect.stringContaining("bytes") }
  },
  // A configuration's folder is looked at before; it may go away, or become a file, after that.
  "VmBootError.ShareUnavailable": {
    happens: Effect.flatMap(Backend, ({ boot }) =>
      boot(
        planOf({
          kernel: vmlinux,
          shares: [{ host: vmlinux, guest: "/data", mode: "ro", tag: "data", cache: "auto" }]
        })
      )
    ),
    says: { subject: vmlinux, operation: "open", errno: "ENOTDIR", message: expect.stringContaining("folder") }
  }
}

produces(Failure.Failure, causes, (effect) => effect.pipe(Effect.scoped, Effect.provide(Kvm.layer)), {
  timeoutMs: 300_000
})
