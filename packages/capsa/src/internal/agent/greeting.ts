/** What an agent says first, and whether both sides speak a version of the protocol that both know. */
import { SandboxError } from "@capsa/core"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { AnyHello, Fault, Hello } from "./messages.ts"

/** Versions of the protocol, from the lowest to the highest. */
export interface Versions {
  readonly lowest: number
  readonly highest: number
}

/** What both sides have agreed on. */
export interface Greeted {
  /** The version of the protocol. */
  readonly protocol: number
  /** The agent's own version, and what a process that does not read may be sent. */
  readonly agent: string
  readonly window: number
}

const isHello = Schema.is(AnyHello)
const isFault = Schema.is(Fault)

/** Looks at the first message, for a side that speaks these versions. */
export const greetedBy = (message: unknown, spoken: Versions): Either.Either<Greeted, SandboxError> => {
  if (isFault(message)) return Either.left(refused(message, spoken))
  if (!isHello(message)) return Either.left(noGreeting(message, spoken))
  const [, , lowest, highest] = message
  if (lowest > highest) return Either.left(noGreeting(message, spoken))
  if (lowest > spoken.highest || highest < spoken.lowest) {
    return Either.left(skewed({ lowest, highest }, agentIn(message), spoken))
  }
  const protocol = Math.min(highest, spoken.highest)
  return Either.mapBoth(Schema.decodeUnknownEither(Hello)(message), {
    onLeft: () => notOf(protocol, { lowest, highest }, spoken),
    onRight: ([, , , , { agent, window }]) => ({ protocol, agent, window })
  })
}

const inWords = ({ highest, lowest }: Versions): string =>
  lowest === highest ? `version ${lowest}` : `versions ${lowest} to ${highest}`

const Told = Schema.Struct({ agent: Schema.String.pipe(Schema.pattern(/^[\w.+-]{1,32}$/)) })
const isTold = Schema.is(Told)

/** The agent's own version, if it tells a sane one. */
const agentIn = (hello: ReadonlyArray<unknown>): string => {
  const settings = hello[4]
  return isTold(settings) ? ` (${settings.agent})` : ""
}

const buildAnew =
  "build the guest's images anew (`capsa guest build`), one of your own with the agent that `bun packages/guest/src/main.ts build agent` makes."
const perhapsAnother = `If the guest is your own, ${buildAnew} If not, it may be hostile: don't trust this machine.`

const skewed = (agents: Versions, agent: string, spoken: Versions): SandboxError => {
  const guestIsOlder = agents.highest < spoken.lowest
  return new SandboxError({
    reason: "VersionSkew",
    detail: `The agent${agent} speaks ${inWords(agents)} of the protocol, this library ${inWords(spoken)}.`,
    hint: guestIsOlder
      ? `The guest is older than this library: ${buildAnew}`
      : "This library is older than the guest: update capsa, or boot a guest that this version has built.",
    field: guestIsOlder ? "guest" : "host"
  })
}

/** An agent that cannot even greet a library of these versions. */
const refused = ([, code, text]: typeof Fault.Type, spoken: Versions): SandboxError =>
  new SandboxError({
    reason: code === "Version" ? "VersionSkew" : "Protocol",
    detail: `The agent refuses a library that speaks ${inWords(spoken)} of the protocol, and says: ${quoted(text)}.`,
    hint: `One of the two is too old: ${buildAnew}`
  })

const noGreeting = (message: unknown, spoken: Versions): SandboxError => {
  const greets = Array.isArray(message) && message[0] === 0 && message[1] === "capsa"
  return new SandboxError({
    reason: "Protocol",
    detail: greets
      ? `The agent greeted without telling which versions of the protocol it speaks; this library speaks ${inWords(spoken)}.`
      : `The agent did not greet; this library speaks ${inWords(spoken)} of the protocol.`,
    hint: perhapsAnother
  })
}

const notOf = (protocol: number, agents: Versions, spoken: Versions): SandboxError =>
  new SandboxError({
    reason: "Protocol",
    detail:
      `The agent greeted without the settings that version ${protocol} of the protocol has, "agent" and "window"; ` +
      `it speaks ${inWords(agents)}, this library ${inWords(spoken)}.`,
    hint: perhapsAnother
  })

/** Its first bytes, which are no length of a frame, are what somebody else says. */
export const noAgent = (length: number, spoken: Versions): SandboxError => {
  const first = new Uint8Array(4)
  new DataView(first.buffer).setUint32(0, length)
  return new SandboxError({
    reason: "Protocol",
    detail: `What answers is no agent: it begins with ${quoted(Buffer.from(first).toString("latin1"))}; this library speaks ${inWords(spoken)} of the protocol.`,
    hint: "Another program has the agent's place in the guest: port 52 of vsock, or the port of virtio-serial called capsa.agent. Give that to capsa's."
  })
}

const quotedMax = 200

/** A guest's text on one line, without what would move a terminal's cursor. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > quotedMax ? `${text.slice(0, quotedMax)}…` : text).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    "\ufffd"
  )
