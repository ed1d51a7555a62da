/**
 * The host's files served to a lab machine over vhost-user: read-only, whatever the machine tries.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { LabError } from "./LabError.ts"

/**
 * Serves `/` until the scope closes, to one client, on a Unix socket in `folder`; gives the socket's path. Needs
 * root: the machine opens files in a way (O_NOATIME) that is reserved for their owner.
 *
 * @since 0.1.0
 * @category servers
 */
export const serve = Effect.fn("HostFiles.serve")(
  function* (folder: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    if (process.getuid?.() !== 0) {
      return yield* new LabError({
        reason: "PermissionDenied",
        subject: "serving the host's files",
        hint: "run it as root, for example with `sudo --preserve-env=PATH,HOME`"
      })
    }
    const socket = path.join(folder, "files.sock")
    const view = path.join(folder, "root")
    yield* fs.makeDirectory(view)
    const command = [
      ...["unshare", "--mount", "sh", readOnlyView, view],
      ...(yield* server(view)),
      `--socket-path=${socket}`
    ]
    // Dies with us even when we are killed and no finalizer runs.
    const running = yield* Command.start(Command.make("setpriv", "--pdeathsig", "KILL", ...command))
    const messages = Stream.mkString(Stream.decodeText(running.stderr))
    yield* Effect.raceFirst(
      listening(socket),
      Effect.flatMap(messages, (text) => failed(text))
    )
    return socket
  },
  Effect.catchTags({ BadArgument: failed, SystemError: failed })
)

/** Debian 12 has the server of QEMU itself; newer systems have its successor, with other options. */
const server = Effect.fnUntraced(function* (view: string) {
  const fs = yield* FileSystem.FileSystem
  const candidates = [
    ["/usr/libexec/virtiofsd", `--shared-dir=${view}`, "--cache=always", "--sandbox=chroot"],
    ["/usr/lib/qemu/virtiofsd", "-o", `source=${view},cache=always,sandbox=chroot`]
  ] as const
  const found = yield* Effect.findFirst(candidates, ([program]) => fs.exists(program))
  if (Option.isSome(found)) return found.value
  return yield* new LabError({
    reason: "ToolMissing",
    subject: "virtiofsd",
    hint: "`bun run setup` installs it, or: apt-get install qemu-system-common (Debian 12) or virtiofsd (newer systems)"
  })
})

const readOnlyView = Bun.fileURLToPath(new URL("../scripts/read-only-view.sh", import.meta.url))

/** The kernel's list of sockets shows the flag of one that takes connections; trying to connect would use up the one. */
const listening = Effect.fnUntraced(function* (socket: string) {
  const fs = yield* FileSystem.FileSystem
  const sockets = Effect.map(fs.readFileString("/proc/net/unix"), (text) => text.split("\n"))
  yield* Effect.repeat(sockets, {
    until: (lines) => lines.some((line) => line.endsWith(` ${socket}`) && line.includes(" 00010000 ")),
    schedule: Schedule.spaced("10 millis")
  })
})

function failed(cause: unknown) {
  return new LabError({
    reason: "FileServerFailed",
    subject: "virtiofsd",
    hint: "it needs a mount namespace of its own: in a container, allow CAP_SYS_ADMIN",
    cause
  })
}
