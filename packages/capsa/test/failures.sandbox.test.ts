/** Every reason of a sandbox's errors: from the agent as a process of this host, or from something in its place. */
import { expect } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Channel } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import { Simulated } from "@capsa/testing"
import { type Cause, type ofAgent, produces } from "@capsa/testing/failures"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { frameOf } from "../src/internal/agent/frames.ts"
import type { Value } from "../src/internal/agent/msgpack.ts"
import * as Agent from "../src/internal/agent/sandbox.ts"
import * as Session from "../src/internal/agent/session.ts"
import * as Start from "../src/internal/agent/start.ts"
import * as Sandbox from "../src/Sandbox.ts"
import { hosted, hostedAgent } from "./fixtures/hostedAgent.ts"
import { hostile } from "./fixtures/hostileArchives.ts"

const hello: Value = [0, "capsa", 1, 1, { agent: "0.1.0", window: 65536 }]

/** In an agent's place: to each thing that it is told it has the next of these answers, and then it is silent. */
const inItsPlace = (...answers: ReadonlyArray<Value>) =>
  Effect.gen(function* () {
    const said = yield* Mailbox.make<Uint8Array>()
    const left = answers.map(frameOf)
    const channel: Channel = {
      bytes: Mailbox.toStream(said),
      write: () =>
        Effect.sync(() => {
          const frame = left.shift()
          if (frame !== undefined) said.unsafeOffer(frame)
        })
    }
    return yield* Session.make(channel)
  })

const scratch = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-sandbox-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const asked = <A, E, R>(f: (agent: Sandbox.Agent) => Effect.Effect<A, E, R>) => Effect.flatMap(hostedAgent, f)

/** More than it takes. */
const tooMany = 257

const causes: Record<(typeof ofAgent)[number], Cause<unknown, Scope.Scope>> = {
  "SandboxError.Unsupported": {
    happens: Effect.provide(Sandbox.launch({}), Simulated.layer({ guest: () => Effect.never })),
    says: { subject: "simulated", hint: expect.stringContaining("console") }
  },
  "SandboxError.VersionSkew": {
    happens: inItsPlace([0, "capsa", 7, 9, {}]),
    says: { field: "host", message: expect.stringContaining("7 to 9") }
  },
  "SandboxError.StartFailed": {
    happens: Effect.flatMap(
      inItsPlace(hello, [14, 1, { reason: "Start", step: "mount", errno: "ENOENT", subject: "/data" }]),
      (session) => Start.start(session, { name: "vm", network: false })
    ),
    says: { step: "mount", errno: "ENOENT", subject: "/data" }
  },
  "SandboxError.Protocol": {
    happens: Effect.flatMap(inItsPlace(hello, [12, 7, 0, null, null, null]), (session) => Agent.make(session).info),
    says: { hint: expect.stringContaining("trust") }
  },
  "SandboxError.Disconnected": {
    happens: Effect.gen(function* () {
      const { channel, pid } = yield* hosted
      const { exec } = Agent.make(yield* Session.make(yield* channel))
      const killed = Effect.sync(() => void process.kill(pid, "SIGKILL"))
      return yield* Effect.zipRight(killed, exec(["sleep", "1000"]))
    }),
    says: { hint: expect.stringContaining("vm.wait") }
  },
  "SandboxError.Unresponsive": {
    happens: Effect.gen(function* () {
      const waiting = yield* Effect.fork(Agent.make(yield* inItsPlace(hello)).info)
      yield* TestClock.adjust("2 minutes")
      return yield* waiting
    }).pipe(Effect.provide(TestContext.TestContext)),
    says: { hint: expect.stringContaining("console") }
  },
  "SandboxError.CannotStart": {
    happens: asked(({ exec }) => exec(["no-such-program"])),
    says: { step: "program", errno: "ENOENT", subject: "no-such-program" }
  },
  "SandboxError.TimeLimit": {
    happens: asked(({ exec }) => exec("echo begun; sleep 1000", { timeLimit: "1 second" })),
    says: { stdout: "begun\n", message: expect.stringContaining("1s") }
  },
  "SandboxError.InputClosed": {
    happens: asked(({ spawn }) =>
      Effect.flatMap(spawn("exec <&-; sleep 1000", { stdin: true }), ({ stdin }) =>
        Effect.forever(stdin.write(new Uint8Array(65536)))
      )
    )
  },
  "SandboxError.Busy": {
    happens: asked(({ spawn }) => Effect.replicateEffect(spawn(["sleep", "1000"]), tooMany)),
    says: { retryable: true }
  },
  "SandboxError.FileFailed": {
    happens: asked(({ files }) => files.read("/nowhere/file")),
    says: { errno: "ENOENT", subject: "/nowhere/file" }
  },
  "SandboxError.HostFileFailed": {
    happens: asked(({ copyIn }) => copyIn("/nowhere/file", "/tmp/file")),
    says: { errno: "ENOENT", subject: "/nowhere/file" }
  },
  "SandboxError.UnsafeArchive": {
    happens: asked(({ files }) =>
      Effect.flatMap(scratch, (folder) =>
        files.unpack(join(folder, "target"), Stream.make(hostile["a name that leads up"].make()))
      )
    ),
    says: { subject: "../victim" }
  },
  "SandboxError.InvalidInput": { happens: asked(({ exec }) => exec([""])) }
}

produces(Failure.Failure, causes, Effect.scoped)
