/** Hosts and agents of different versions: who meets whom, and what the user is told about it. */
import { describe, expect, test } from "bun:test"
import { Backend, type Channel, noFeatures, type SandboxError } from "@capsa/core"
import { Simulated } from "@capsa/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { frameOf } from "../src/internal/agent/frames.ts"
import type { Versions } from "../src/internal/agent/greeting.ts"
import { encode, type Value } from "../src/internal/agent/msgpack.ts"
import * as Agent from "../src/internal/agent/sandbox.ts"
import * as Session from "../src/internal/agent/session.ts"
import * as Sandbox from "../src/Sandbox.ts"
import { hosted } from "./fixtures/hostedAgent.ts"

const framed = (message: Value): Uint8Array => frameOf(message) ?? encode(message)
const settings = { agent: "0.9.0", window: 65536 }

/** Something in an agent's place: says each of these when it is told something, and then hangs up. */
const saying = (...pieces: ReadonlyArray<Uint8Array>): Effect.Effect<Channel> =>
  Effect.gen(function* () {
    const said = yield* Mailbox.make<Uint8Array>()
    const left = [...pieces]
    const next = Effect.suspend(() => {
      const piece = left.shift()
      return piece === undefined ? said.end : said.offer(piece)
    })
    return { bytes: Mailbox.toStream(said), write: () => Effect.asVoid(next) }
  })

/** The agent of this version, as a process of this host. */
const genuine = Effect.flatMap(hosted, ({ channel }) => channel)

interface Meeting {
  readonly agent: typeof genuine | Effect.Effect<Channel>
  readonly host?: Versions
  /** What is told; absent if they understand each other. */
  readonly told?: Pick<SandboxError, "reason" | "field"> & { readonly message: string; readonly hint: string }
}

const buildAnew = "bun packages/guest/src/main.ts build agent"

const meetings: Readonly<Record<string, Meeting>> = {
  "an older agent": {
    agent: saying(framed([0, "capsa", 1, 1, settings])),
    host: { lowest: 2, highest: 3 },
    told: {
      reason: "VersionSkew",
      field: "guest",
      message: "The agent (0.9.0) speaks version 1 of the protocol, this library versions 2 to 3.",
      hint: buildAnew
    }
  },
  "a newer agent, whose greeting goes on in another way": {
    agent: saying(framed([0, "capsa", 7, 9, "settings"])),
    told: {
      reason: "VersionSkew",
      field: "host",
      message: "The agent speaks versions 7 to 9 of the protocol, this library version 1.",
      hint: "update capsa"
    }
  },
  "a newer agent that still knows this version, with settings and members that there are not yet": {
    agent: saying(framed([0, "capsa", 1, 5, { ...settings, flags: [1, null], when: { x: true } }, "more", 7]))
  },
  "an agent that has no version": {
    agent: saying(framed([0, "capsa", settings])),
    told: {
      reason: "Protocol",
      message: "without telling which versions of the protocol it speaks; this library speaks version 1.",
      hint: buildAnew
    }
  },
  "an agent whose versions are texts": {
    agent: saying(framed([0, "capsa", "1", "1", settings])),
    told: {
      reason: "Protocol",
      message: "without telling which versions of the protocol it speaks; this library speaks version 1.",
      hint: buildAnew
    }
  },
  "an agent whose versions go backwards": {
    agent: saying(framed([0, "capsa", 9, 1, settings])),
    told: { reason: "Protocol", message: "without telling which versions", hint: buildAnew }
  },
  "an agent that leaves a setting out": {
    agent: saying(framed([0, "capsa", 1, 2, { agent: "0.9.0" }])),
    told: {
      reason: "Protocol",
      message: '"agent" and "window"; it speaks versions 1 to 2, this library version 1.',
      hint: buildAnew
    }
  },
  "an agent whose window is a part of a byte": {
    agent: saying(framed([0, "capsa", 1, 1, { agent: "0.9.0", window: 0.5 }])),
    told: {
      reason: "Protocol",
      message: '"agent" and "window"; it speaks version 1, this library version 1.',
      hint: buildAnew
    }
  },
  "an agent that says what there is not, once it has greeted": {
    agent: saying(framed([0, "capsa", 1, 3, settings]), framed([42, 1, "news"])),
    told: {
      reason: "Protocol",
      message: "The agent sent a message of kind 42 as version 1 of the protocol has none.",
      hint: "don't trust this machine"
    }
  },
  "an agent of some day, that refuses before it greets": {
    agent: saying(framed([15, "Version", "too\u001b[2J old"])),
    told: {
      reason: "VersionSkew",
      message: 'refuses a library that speaks version 1 of the protocol, and says: "too\\u001b[2J old".',
      hint: buildAnew
    }
  },
  "the agent, and a newer host": {
    agent: genuine,
    host: { lowest: 2, highest: 3 },
    told: {
      reason: "VersionSkew",
      field: "guest",
      message: "The agent (0.1.0) speaks version 1 of the protocol, this library versions 2 to 3.",
      hint: buildAnew
    }
  },
  "the agent, and an older host": {
    agent: genuine,
    host: { lowest: 0, highest: 0 },
    told: {
      reason: "VersionSkew",
      field: "host",
      message: "The agent (0.1.0) speaks version 1 of the protocol, this library version 0.",
      hint: "update capsa"
    }
  },
  "the agent, and a newer host that still knows its version": { agent: genuine, host: { lowest: 1, highest: 9 } },
  "a program that is no agent": {
    agent: saying(Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n")),
    told: {
      reason: "Protocol",
      message: 'What answers is no agent: it begins with "SSH-"; this library speaks version 1',
      hint: "port 52 of vsock"
    }
  },
  "a program that sends frames, but of something else": {
    agent: saying(framed({ capsa: 1 })),
    told: { reason: "Protocol", message: "did not greet; this library speaks version 1", hint: buildAnew }
  },
  "a program that hangs up": {
    agent: saying(),
    told: { reason: "Disconnected", message: "The connection to the agent has ended.", hint: "vm.wait" }
  }
}

/** What they have agreed on, or how it failed: when they greeted, or when one of them said something after that. */
const meet = ({ agent, host, told }: Meeting) =>
  Effect.gen(function* () {
    const session = yield* Session.make(yield* agent, { versions: host })
    if (told !== undefined) yield* Agent.make(session).health
    return session.version
  }).pipe(Effect.scoped, Effect.timeout("20 seconds"))

describe("a greeting", () => {
  for (const [who, meeting] of Object.entries(meetings)) {
    test(`${who}: ${meeting.told?.reason ?? "they understand each other"}`, async () => {
      const met = await Effect.runPromise(Effect.either(meet(meeting)))
      if (meeting.told === undefined) return expect(met).toMatchObject({ right: expect.stringMatching(/^0\./) })
      const { hint, message, ...told } = meeting.told
      expect(met).toMatchObject({
        left: { ...told, message: expect.stringContaining(message), hint: expect.stringContaining(hint) }
      })
    })
  }
})

/** A machine of a simulated backend, with this in its agent's place. */
const launchWith = (agent: Effect.Effect<Channel>) => {
  const capable = { features: { ...noFeatures("it is simulated"), mainProcess: { supported: true } as const } }
  const withAgent = Layer.map(Simulated.layer({ capabilities: capable }), (context) => {
    const backend = Context.get(context, Backend)
    const boot: typeof backend.boot = (plan) =>
      Effect.zipWith(backend.boot(plan), agent, (machine, agent) => ({ ...machine, agent }))
    return Context.add(context, Backend, { ...backend, boot })
  })
  return Sandbox.launch({ memory: "128MiB" }).pipe(Effect.flip, Effect.scoped, Effect.provide(withAgent))
}

describe("a launch", () => {
  test("of a guest with another version's agent fails, and says so", async () => {
    const error = await Effect.runPromise(launchWith(saying(framed([0, "capsa", 7, 9, settings]))))
    expect(error).toMatchObject({ _tag: "SandboxError", reason: "VersionSkew", field: "host", retryable: false })
  })

  test("of a guest whose agent is silent is given up", async () => {
    const silent = Effect.succeed<Channel>({ bytes: Stream.never, write: () => Effect.void })
    const waiting = Effect.gen(function* () {
      const launching = yield* Effect.fork(launchWith(silent))
      yield* TestClock.adjust("3 minutes")
      return yield* Fiber.join(launching)
    })
    expect(await Effect.runPromise(Effect.provide(waiting, TestContext.TestContext))).toMatchObject({
      _tag: "VmBootError",
      reason: "Timeout",
      message: expect.stringContaining("not ready within 2m"),
      hint: expect.stringContaining("no agent answers")
    })
  })
})
