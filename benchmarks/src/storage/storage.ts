/**
 * What does a request of a disk, and a file of a shared folder, cost a guest on capsa beside the same guest on QEMU? In
 * the lab's virtual time.
 */
import * as GuestImages from "@capsa/guest/GuestImages"
import * as Effect from "effect/Effect"
import { inLab } from "../lab/run.ts"
import { rows, Sides } from "./samples.ts"

const rounds = 3

const measured = (name: string) =>
  Effect.gen(function* () {
    const { vmlinux } = yield* GuestImages.tiny
    const { disk } = yield* GuestImages.toolbox
    const program = Bun.fileURLToPath(new URL(name, import.meta.url))
    return rows(yield* inLab({ program, arguments: [vmlinux, disk, String(rounds)], result: Sides }))
  })

export const disk = measured("diskInside.ts")

export const share = measured("shareInside.ts")
