import { describe, expect } from "bun:test"
import { live, planOf } from "@capsa/testing"
import * as Effect from "effect/Effect"
import { Cgroup, Lease } from "../src/index.ts"
import { locate } from "../src/internal/cgroupTree.ts"
import { inFolder } from "./fixtures/folder.ts"

const { v1 } = await Effect.runPromise(locate)
const notV1 = v1.includes("memory") ? "" : " — skipped: this host has memory in cgroups of version 2"

describe("limits", () => {
  live.skipIf(notV1 !== "")(
    `are refused where the host manages them by cgroups of version 1, by doctor too${notV1}`,
    inFolder(() =>
      Effect.gen(function* () {
        const lease = yield* Lease.take(planOf(), "qemu")
        const error = yield* Effect.flip(Effect.scoped(Cgroup.make(lease, { memory: "1GiB" })))
        expect(error).toMatchObject({ _tag: "VmBootError", reason: "LimitsUnavailable", field: "limits" })
        expect(error.message).toContain("this host has memory in cgroups of version 1")
        expect(error.hint).toContain("systemd.unified_cgroup_hierarchy=1")
        const { fix, status } = yield* Cgroup.examine
        expect([status, fix]).toEqual(["warning", error.hint])
      })
    )
  )
})
