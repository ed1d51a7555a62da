/** What other processes may ask of a machine that was launched with `--detach`, on a Unix socket in its folder. */
import { join } from "node:path"
import { SandboxError, VmExit } from "@capsa/core"
import * as Machines from "@capsa/state/Machines"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Where the supervisor of a machine listens. */
export const socketOf = (id: string): Effect.Effect<string> =>
  Effect.map(Machines.folderOf(id), (folder) => join(folder, "control"))

const TerminalSize = Schema.Struct({ columns: Schema.Int, rows: Schema.Int })

const OfProcess = { process: Schema.Int }

/** The path of the host is absolute. */
const Copy = { host: Schema.String, guest: Schema.String }

const Copied = Schema.Struct({ entries: Schema.Int, skipped: Schema.Int })

/** A process is known by its number while the stream that tells of it is read, and killed when it is not any more. */
export const ProcessEvent = Schema.Union(
  Schema.TaggedStruct("Started", OfProcess),
  Schema.TaggedStruct("Ended", { exitCode: Schema.Int, signal: Schema.optional(Schema.String) })
)

export class Control extends RpcGroup.make(
  Rpc.make("spawn", {
    payload: {
      argv: Schema.NonEmptyArray(Schema.String),
      env: Schema.Record({ key: Schema.String, value: Schema.String }),
      cwd: Schema.optional(Schema.String),
      user: Schema.optional(Schema.String),
      tty: Schema.optional(TerminalSize)
    },
    success: ProcessEvent,
    error: SandboxError,
    stream: true
  }),
  Rpc.make("output", {
    payload: { ...OfProcess, of: Schema.Literal("stdout", "stderr") },
    success: Schema.Uint8ArrayFromSelf,
    error: SandboxError,
    stream: true
  }),
  Rpc.make("write", { payload: { ...OfProcess, bytes: Schema.Uint8ArrayFromSelf }, error: SandboxError }),
  Rpc.make("end", { payload: OfProcess, error: SandboxError }),
  Rpc.make("resize", { payload: { ...OfProcess, size: TerminalSize }, error: SandboxError }),
  /** A copy ends up in the folder that has the target's name, if there is one. */
  Rpc.make("copyIn", { payload: Copy, success: Copied, error: SandboxError }),
  Rpc.make("copyOut", { payload: Copy, success: Copied, error: SandboxError }),
  /** Output of the console: what is kept of it, and until the machine ends if that is wanted. */
  Rpc.make("logs", {
    payload: { follow: Schema.Boolean },
    success: Schema.Struct({ bytes: Schema.Uint8ArrayFromSelf, lost: Schema.Int }),
    stream: true
  }),
  /** Without a grace it is killed at once. */
  Rpc.make("stop", { payload: { graceMs: Schema.optional(Schema.Number) }, success: VmExit })
) {}
