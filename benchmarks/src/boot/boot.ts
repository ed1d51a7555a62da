/**
 * How long is it from the launch to the first console byte, to the first process, to the end of the machine? capsa on
 * KVM beside `qemu-system-x86_64 -M microvm -accel kvm`, with the same kernel and initrd, in the lab's virtual time.
 */
import * as Debian from "@capsa/guest/Debian"
import * as GuestImages from "@capsa/guest/GuestImages"
import * as Initrd from "@capsa/guest/Initrd"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { inLab } from "../lab/run.ts"
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

export const rows = Effect.scoped(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { vmlinux } = yield* GuestImages.tiny
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "capsa-benchmark." })
    const initrd = path.join(folder, "initrd")
    yield* writeInitrd(initrd)
    const part = {
      program: inside,
      arguments: [vmlinux, "/benchmark/initrd", String(rounds)],
      mounts: [{ host: folder, guest: "/benchmark" }]
    }
    const { capsa, qemu } = yield* inLab(part, Sides)
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
