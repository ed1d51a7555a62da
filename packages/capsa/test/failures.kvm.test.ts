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

const causes: Record<(typeof ofMonitor)[number], Cause<unknown, Backend | Scope.Scope>> = {
  // A configuration's command line is refused before.
  "VmBootError.CmdlineInvalid": {
    happens: Effect.flatMap(Backend, ({ boot }) => boot(planOf({ kernel, cmdline: "a".repeat(5000), discovery }))),
    says: { subject: kernel, field: "cmdline", stage: "created", message: expect.stringContaining("bytes") }
  }
}

produces(Failure.Failure, causes, (effect) => effect.pipe(Effect.scoped, Effect.provide(Kvm.layer)), {
  timeoutMs: 300_000
})
