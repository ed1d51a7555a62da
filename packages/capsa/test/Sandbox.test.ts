/** The agent as a process of this host: all that it does but for bringing a guest up. */

import { layer } from "@capsa/testing"
import * as Layer from "effect/Layer"
import { hostedAgent } from "./fixtures/hostedAgent.ts"
import { suite } from "./fixtures/sandboxSuite.ts"
import { TestAgent, testerOf } from "./fixtures/sandboxTest.ts"

const timeoutMs = 300_000

layer(Layer.scoped(TestAgent, hostedAgent))("an agent on this host", ({ live }) => {
  suite(testerOf(live, timeoutMs), {
    timeoutMs,
    execs: 1000,
    streamedMib: 100,
    fileMib: 100,
    files: 10_000,
    lastingSeconds: 12,
    findsAll: false
  })
})
