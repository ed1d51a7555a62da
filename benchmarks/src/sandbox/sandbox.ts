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

const rounds = 10

const inside = Bun.fileURLToPath(new URL("inside.ts", import.meta.url))

const speed = Effect.gen(function* () {
  const { vmlinux, initrd } = yield* GuestImages.tiny
  const part = { program: inside, arguments: [vmlinux, initrd, String(rounds)] }
  const { capsa, qemu } = yield* inLab(part, Sides)
  return (["agent", "result"] as const).flatMap((point) =>
    compare(
      { agent: "launch to the agent's greeting", result: "launch to the first command's result" }[point],
      "virtual ms",
      capsa.map((samples) => samples[point]),
      "QEMU microvm",
      qemu.map((samples) => samples[point])
    )
  )
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
