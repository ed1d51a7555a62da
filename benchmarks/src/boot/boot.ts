/**
 * How long is it from the launch to the first console byte, to the first process, to the end of the machine? capsa on
 * KVM beside `qemu-system-x86_64 -M microvm -accel kvm`, with the same kernel and initrd, in the lab's virtual time.
 */
import * as Debian from "@capsa/guest/Debian"
import * as GuestImages from "@capsa/guest/GuestImages"
import * as Initrd from "@capsa/guest/Initrd"
import { Lab } from "@capsa/lab"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { compare } from "../report.ts"
import { Sides } from "./samples.ts"

const rounds = 20

/** The first process says that it is there and ends the machine. */
const init = "#!/bin/busybox sh\necho 'capsa: init'\nexec /bin/busybox reboot -f\n"

const inside = Bun.fileURLToPath(new URL("inside.ts", import.meta.url))

const writeInitrd = Effect.fnUntraced(function* (file: string) {
  const fs = yield* FileSystem.FileSystem
  const busybox = yield* fs.readFile((yield* Debian.busybox).program)
  yield* fs.writeFile(file, Initrd.encode({ init: new TextEncoder().encode(init), busybox, modules: [] }))
})

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))

const boots = Effect.scoped(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { vmlinux } = yield* GuestImages.tiny
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "capsa-benchmark." })
    const initrd = path.join(folder, "initrd")
    yield* writeInitrd(initrd)
    const run = yield* Lab.runInLab({
      command: [process.execPath, inside, vmlinux, "/benchmark/initrd", String(rounds)],
      workingFolder: path.dirname(inside),
      environment: { PATH: "/usr/bin:/bin", HOME: "/root" },
      mounts: [{ host: folder, guest: "/benchmark" }],
      icount: true
    })
    const [output, complaints] = yield* Effect.all([text(run.stdout), text(run.stderr)], { concurrency: 2 })
    const status = yield* run.exitCode
    if (status !== 0) return yield* Effect.dieMessage(`the benchmark ended with ${status}:\n${complaints}`)
    const { capsa, qemu } = yield* Schema.decode(Schema.parseJson(Sides))(output)
    return (["kernel", "init", "exit"] as const).flatMap((point) =>
      compare(
        { kernel: "launch to first console byte", init: "launch to init", exit: "launch to exit" }[point],
        "virtual ms",
        capsa.map((samples) => samples[point]),
        "QEMU microvm",
        qemu.map((samples) => samples[point])
      )
    )
  })
)

/** A lab that loses a guest may stand still for good. */
export const rows = boots.pipe(
  Effect.timeoutOption("10 minutes"),
  Effect.repeat({ until: Option.isSome, times: 2 }),
  Effect.flatMap(Option.match({ onNone: () => Effect.dieMessage("the lab stood still"), onSome: Effect.succeed }))
)
