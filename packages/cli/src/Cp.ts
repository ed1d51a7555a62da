/** `capsa cp`: files and folders into a detached machine, and out of it. */
import { posix, resolve } from "node:path"
import * as Progress from "@capsa/guest/Progress"
import * as StatusLine from "@capsa/guest/StatusLine"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { UsageError } from "./CliError.ts"
import { answer, reach } from "./detached/Reach.ts"
import { writeJson } from "./Report.ts"
import { Stdio } from "./Stdio.ts"

/** What `capsa cp --json` prints. @category models */
export const CpReport = Schema.Struct({
  /** Files, folders and links. */
  entries: Schema.Int,
  /** Sockets, pipes and devices that were left out. */
  skipped: Schema.Int
})
/** @category models */
export type CpReport = typeof CpReport.Type

interface CpOptions {
  readonly from: string
  readonly to: string
  readonly json: boolean
}

interface GuestPath {
  readonly machine: string
  readonly path: string
}

/** "web:/etc/hosts"; what has a slash before its colon is a path of this host. */
export const parseGuestPath = (text: string): GuestPath | undefined => {
  const [, machine, path] = /^([^/:]+):(.*)$/s.exec(text) ?? []
  return machine === undefined || path === undefined ? undefined : { machine, path: posix.resolve("/", path) }
}

/** Which way to copy; nothing if not exactly one of the paths is in a machine. */
const directionOf = ({ from, to }: CpOptions) => {
  const [source, target] = [parseGuestPath(from), parseGuestPath(to)]
  if (source !== undefined && target === undefined) {
    return { verb: "copyOut", machine: source.machine, guest: source.path, host: resolve(to) } as const
  }
  if (source === undefined && target !== undefined) {
    return { verb: "copyIn", machine: target.machine, guest: target.path, host: resolve(from) } as const
  }
  return undefined
}

const copied = Effect.fnUntraced(
  function* (options: CpOptions) {
    const direction = directionOf(options)
    if (direction === undefined) {
      return yield* new UsageError({
        reason: "InvalidValue",
        detail: "Exactly one of the two paths has to be in a machine.",
        hint: "Write that one like web:/etc/hosts, and one of this host that has a colon like ./a:b."
      })
    }
    const { guest, host, machine, verb } = direction
    const reached = yield* reach(machine)
    yield* Progress.stage(`copying ${options.from}`)
    return yield* answer(reached, reached.client[verb]({ guest, host }))
  },
  Effect.scoped,
  Effect.provide(StatusLine.layer)
)

/** The verb. */
export const cp = Effect.fn("cp")(function* (options: CpOptions) {
  const { stderr } = yield* Stdio
  const report = yield* copied(options)
  if (options.json) return yield* writeJson(yield* Effect.orDie(Schema.encode(CpReport)(report)))
  if (report.skipped > 0) {
    yield* stderr.write(`capsa: ${report.skipped} sockets, pipes and devices were left out.\n`)
  }
})
