/**
 * How long is it from the launch of a sandbox to the result of its first command? capsa's Sandbox on KVM beside
 * `qemu-system-x86_64 -M microvm -accel kvm` with the same kernel, initrd and agent, in the lab's virtual time. And how
 * large are those?
 */
import * as GuestImages from "@capsa/guest/GuestImages"
import * as GuestInfo from "@capsa/guest/GuestInfo"
import * as Effect from "effect/Effect"
import { inLab } from "../lab/run.ts"
import { compare, type Row, row } from "../report.ts"
import { Sides } from "./samples.ts"

const rounds = 20

const inside = Bun.fileURLToPath(new URL("inside.ts", import.meta.url))

const speed = Effect.gen(function* () {
  const { vmlinux, initrd } = yield* GuestImages.tiny
  const part = { program: inside, arguments: [vmlinux, initrd, String(rounds)] }
  const { capsa, first, qemu } = yield* inLab(part, Sides)
  const names = { agent: "launch to the agent's greeting", result: "launch to the first command's result" }
  const sides = (["agent", "result"] as const).flatMap((point) =>
    compare(
      names[point],
      "virtual ms",
      capsa.map((samples) => samples[point]),
      "QEMU microvm",
      qemu.map((samples) => samples[point])
    )
  )
  return [...sides, row(`${names.result}, of a process's first`, "virtual ms", [first.result])]
})

const sizes = Effect.map(
  GuestInfo.info,
  ({ tiny }): ReadonlyArray<Row> =>
    tiny === undefined
      ? []
      : [
          row("tiny kernel (vmlinux)", "bytes", [tiny.kernel.bytes]),
          row("its initrd", "bytes", [tiny.initrd.bytes]),
          row("busybox in it", "bytes", [tiny.busybox.bytes]),
          row("agent in it", "bytes", [tiny.agent.bytes])
        ]
)

export const rows = Effect.scoped(Effect.zipWith(speed, sizes, (one, other) => [...one, ...other]))
