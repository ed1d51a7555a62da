/**
 * What a disk keeps of a guest that is killed, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the
 * default). CAPSA_TEST_KILLS is how often it is killed; each time takes a boot.
 */
import { describe, expect } from "bun:test"
import { readFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import { booted, image, mib, scratch, test, timeout } from "./fixtures/disks.ts"
import { backendName } from "./fixtures/realBackend.ts"

const kills = Number(Bun.env["CAPSA_TEST_KILLS"] ?? 10)

const sectorBytes = 512
const writers = [0, 1, 2] as const
/** Records of a writer: more than any gets to before the kill. */
const recordsMax = 1000

const sectorOf = (writer: number, record: number) => writer * recordsMax + record

/** As the guest's shell has it; each round overwrites what the one before it wrote. */
const content = (round: number | string, writer: number | string, record: number | string) =>
  `round=${round} writer=${writer} record=${record} end`

const told = /flushed (\d+) (\d+)\./g

/**
 * Each writer writes record after record, flushes it and only then says so. Eight records share a page, so that pages are
 * written again and again; several writers have several requests under way.
 */
const write = (round: number) =>
  writers
    .map((writer) => {
      const dd = `dd of=/dev/vda bs=${sectorBytes} seek=$((${sectorOf(writer, 0)}+i)) conv=notrunc,fsync 2>/dev/null`
      const loop = `echo "${content(round, writer, "$i")}" | ${dd} && echo flushed ${writer} $i.`
      return `(i=0; while [ $i -lt ${recordsMax} ]; do ${loop}; i=$((i+1)); done) &`
    })
    .join(" ")

describe(`durability on ${backendName}`, () => {
  test(
    `what a guest has flushed is there, killed ${kills} times`,
    () =>
      Effect.gen(function* () {
        const path = image(yield* scratch, "disk.img", new Uint8Array(2 * mib))
        let checked = 0
        const killed = Effect.fnUntraced(function* (round: number) {
          const vm = yield* booted({ disks: [{ path }] })
          yield* vm.console.writeLine(write(round))
          // Now early, now late, and each writer's turn.
          yield* vm.console.expect(`flushed ${round % writers.length} ${(round * 7) % 23}.`, { timeout })
          expect(yield* vm.kill).toEqual({ _tag: "Killed" })
          const bytes = readFileSync(path)
          const lines = new TextDecoder().decode(yield* vm.console.history)
          const flushed = [...lines.matchAll(told)]
          expect(flushed.length).toBeGreaterThan(0)
          for (const [, writer, record] of flushed) {
            const at = sectorOf(Number(writer), Number(record)) * sectorBytes
            const expected = `${content(round, writer ?? "", record ?? "")}\n`
            expect(bytes.toString("latin1", at, at + expected.length)).toBe(expected)
          }
          checked += flushed.length
        })
        for (let round = 1; round <= kills; round++) yield* Effect.scoped(killed(round))
        yield* Effect.log(`${checked} records were flushed and found`)
      }),
    { boots: kills }
  )
})
