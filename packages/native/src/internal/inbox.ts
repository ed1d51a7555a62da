/** What one machine of the library has reported, ready to be waited for. */
import type { BootStage, BootStageName, VmExit } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Mailbox from "effect/Mailbox"
import { fromRecord, type NativeError } from "../NativeError.ts"
import { type ErrorRecord, type EventRecord, eventKind, exitKind, stageNames, verdictNames } from "./layout.ts"

/** Chunks of output that wait for the reader; at 64 KiB each, 4 MiB. */
const outputChunks = 64

export interface ProbeRecord {
  readonly kind: string
  readonly gic: number
  readonly value: number
  readonly error: ErrorRecord
}

export interface Inbox {
  readonly handle: number
  readonly output: Mailbox.Mailbox<Uint8Array>
  readonly stages: Mailbox.Mailbox<BootStage>
  /** The last stage so far. */
  stage: BootStageName | undefined
  readonly started: Deferred.Deferred<void, NativeError>
  readonly exit: Deferred.Deferred<VmExit>
  readonly probed: Deferred.Deferred<ProbeRecord>
  readonly released: Deferred.Deferred<void>
  /** The number is nobody's any more: no call may name it. */
  gone: boolean
  /** Completed and replaced by each report of its kind. */
  signals: Record<"paused" | "resumed" | "writable", Deferred.Deferred<void>>
  /** Bytes of output dropped, by the library or here. */
  lost: number
}

const deferred = <A, E = never>() => Deferred.unsafeMake<A, E>(FiberId.none)

/** An inbox for the machine that gets the number given last, when there is one. */
export const makeInbox: Effect.Effect<(handle: number) => Inbox> = Effect.gen(function* () {
  const output = yield* Mailbox.make<Uint8Array>({ capacity: outputChunks, strategy: "dropping" })
  const stages = yield* Mailbox.make<BootStage>()
  return (handle) => ({
    handle,
    output,
    stages,
    stage: undefined,
    started: deferred<void, NativeError>(),
    exit: deferred(),
    probed: deferred(),
    released: deferred(),
    gone: false,
    signals: { paused: deferred(), resumed: deferred(), writable: deferred() },
    lost: 0
  })
})

const exitOf = (code: number, error: ErrorRecord): VmExit => {
  switch (code) {
    case exitKind.powerOff:
      return { _tag: "PowerOff" }
    case exitKind.reset:
    case exitKind.tripleFault:
      return { _tag: "Reboot" }
    case exitKind.panic:
      return { _tag: "Panic" }
    case exitKind.killed:
      return { _tag: "Killed" }
    default:
      return { _tag: "Failed", detail: `${error.message} (${error.operation}: ${error.field})` }
  }
}

const end = (inbox: Inbox, event: EventRecord) => {
  Deferred.unsafeDone(inbox.started, Effect.fail(fromRecord(event.error, inbox.stage)))
  Deferred.unsafeDone(inbox.exit, Effect.succeed(exitOf(event.code, event.error)))
  inbox.output.unsafeDone(Exit.void)
  inbox.stages.unsafeDone(Exit.void)
}

const signal = (inbox: Inbox, name: keyof Inbox["signals"]) => {
  Deferred.unsafeDone(inbox.signals[name], Effect.void)
  inbox.signals[name] = deferred()
}

const stage = (inbox: Inbox, event: EventRecord) => {
  const name = stageNames[event.code]
  if (name === undefined || name === "") return
  inbox.stage = name
  inbox.stages.unsafeOffer({ name, atMs: event.timeMs })
  if (name === "started") Deferred.unsafeDone(inbox.started, Effect.void)
}

const take = (inbox: Inbox, event: EventRecord) => {
  switch (event.kind) {
    case eventKind.stage:
      return stage(inbox, event)
    case eventKind.paused:
      return signal(inbox, "paused")
    case eventKind.resumed:
      return signal(inbox, "resumed")
    case eventKind.writable:
      return signal(inbox, "writable")
    case eventKind.exit:
      return end(inbox, event)
    case eventKind.probed:
      return Deferred.unsafeDone(
        inbox.probed,
        Effect.succeed({
          kind: verdictNames[event.code] ?? "",
          gic: event.gic,
          value: event.value,
          error: event.error
        })
      )
    case eventKind.released:
      inbox.gone = true
      return Deferred.unsafeDone(inbox.released, Effect.void)
  }
}

/** Files what one drain brought. */
export const receive = (inbox: Inbox, output: Uint8Array, lost: number, events: ReadonlyArray<EventRecord>): void => {
  inbox.lost += lost
  if (output.byteLength > 0 && !inbox.output.unsafeOffer(output)) inbox.lost += output.byteLength
  for (const event of events) take(inbox, event)
}
