/** What is left of machines whose process was killed: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default). */
import { expect } from "bun:test"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CleanupReport, PsReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import * as Machines from "@capsa/state/Machines"
import { live } from "@capsa/testing"
import { processesWith } from "@capsa/testing/processes"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { capsa } from "./capsa.ts"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

/** Six boots, and Bun again and again, in the lab by an emulator. */
const testMs = 1_200_000

const stateFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-crash-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A process with that many machines; `kill` is SIGKILL. */
const crew = Effect.fnUntraced(function* (count: number, env: Record<string, string>) {
  const fixture = join(import.meta.dir, "fixtures/crew.ts")
  const argv = [process.execPath, fixture, String(count), backend, tiny.bzImage, tiny.initrd]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => Bun.spawn(argv, { env: { ...Bun.env, ...env } })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const { value } = yield* Effect.promise(() => child.stdout.getReader().read())
  expect(new TextDecoder().decode(value)).toBe("launched\n")
  const kill = Effect.promise(() => {
    child.kill("SIGKILL")
    return child.exited
  })
  return { pid: child.pid, kill }
})

live(
  `a process with five machines on ${backend} is killed: they end, are listed, and are cleaned up; others live on`,
  () =>
    Effect.gen(function* () {
      const folder = yield* stateFolder
      const env = { CAPSA_STATE_DIR: folder }
      const told = <A, I>(schema: Schema.Schema<A, I>, ...words: ReadonlyArray<string>) =>
        Effect.flatMap(
          Effect.promise(() => capsa([...words, "--json"], "", env)),
          ({ stdout }) => Schema.decode(Schema.parseJson(schema))(stdout)
        )
      const alive = Effect.withConfigProvider(Machines.alive, ConfigProvider.fromMap(new Map(Object.entries(env))))

      const survivor = yield* crew(1, env)
      const victim = yield* crew(5, env)
      const machines = yield* alive
      const doomed = machines.filter(({ owner }) => owner === victim.pid).map(({ id }) => id)
      const living = machines.filter(({ owner }) => owner === survivor.pid)
      expect([doomed.length, living.length]).toEqual([5, 1])
      for (const machine of machines) expect<string>(machine.backend).toBe(backend)
      const processesOfEach = backend === "qemu" ? 1 : 0
      expect(doomed.map((id) => processesWith(id).length)).toEqual(doomed.map(() => processesOfEach))

      yield* victim.kill
      yield* Effect.sync(() => doomed.flatMap(processesWith)).pipe(
        Effect.repeat({ until: (running) => running.length === 0, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("2 seconds")
      )
      expect((yield* told(PsReport, "ps")).machines).toEqual(living)

      const isLeft = ({ leftovers }: CleanupReport) => leftovers.map(({ machine }) => machine?.id).toSorted()
      const listed = yield* told(CleanupReport, "cleanup", "--dry-run")
      expect([listed.removed, isLeft(listed)]).toEqual([false, doomed.toSorted()])
      const cleanup = told(CleanupReport, "cleanup")
      const both = yield* Effect.all([cleanup, cleanup], { concurrency: 2 })
      expect(both.flatMap(isLeft).toSorted()).toEqual(doomed.toSorted())
      expect(both.flatMap(({ notes }) => notes)).toEqual([])
      expect(readdirSync(folder)).toEqual(living.map(({ id }) => id.slice(0, 13)))
      expect(yield* alive).toEqual(living)
      expect(living.flatMap(({ id }) => processesWith(id))).toHaveLength(processesOfEach)

      yield* survivor.kill
      expect(yield* alive).toEqual([])
      expect(isLeft(yield* cleanup)).toEqual(living.map(({ id }) => id))
      expect(readdirSync(folder)).toEqual([])
    }),
  testMs
)
