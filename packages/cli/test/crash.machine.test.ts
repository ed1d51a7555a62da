/** What is left of machines whose process was killed: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default). */
import { expect } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CleanupReport, PsReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import { live } from "@capsa/testing"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { capsa } from "./capsa.ts"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

/** Five boots, in the lab by an emulator. */
const testMs = 600_000

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

/** Processes of a machine, by the argument that QEMU gets its id in. */
const processesOf = (id: string): ReadonlyArray<string> =>
  readdirSync("/proc").filter(
    (name) =>
      /^\d+$/.test(name) &&
      Either.try(() => readFileSync(`/proc/${name}/cmdline`, "utf8")).pipe(
        Either.match({ onLeft: () => false, onRight: (cmdline) => cmdline.includes(`-uuid\0${id}\0`) })
      )
  )

live(
  `a process with five machines on ${backend} is killed: they end, are listed, and are cleaned up; others live on`,
  () =>
    Effect.gen(function* () {
      const folder = yield* stateFolder
      const env = { CAPSA_STATE_DIR: folder }
      const said = (...words: ReadonlyArray<string>) => Effect.promise(() => capsa(words, "", env))
      const told = <A, I>(schema: Schema.Schema<A, I>, ...words: ReadonlyArray<string>) =>
        Effect.flatMap(said(...words, "--json"), ({ stdout }) => Schema.decode(Schema.parseJson(schema))(stdout))

      const survivor = yield* crew(1, env)
      const victim = yield* crew(5, env)
      const { machines } = yield* told(PsReport, "ps")
      const doomed = machines.filter(({ owner }) => owner === victim.pid).map(({ id }) => id)
      const living = machines.filter(({ owner }) => owner === survivor.pid)
      expect([doomed.length, living.length]).toEqual([5, 1])
      for (const machine of machines) expect<string>(machine.backend).toBe(backend)
      const processesOfEach = backend === "qemu" ? 1 : 0
      expect(doomed.map((id) => processesOf(id).length)).toEqual(doomed.map(() => processesOfEach))

      yield* victim.kill
      yield* Effect.sync(() => doomed.flatMap(processesOf)).pipe(
        Effect.repeat({ until: (alive) => alive.length === 0, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("2 seconds")
      )
      const isLeft = ({ leftovers }: CleanupReport) => leftovers.map(({ machine }) => machine?.id).toSorted()
      expect((yield* told(PsReport, "ps")).machines).toEqual(living)
      expect((yield* said("ps")).stdout.split("\n")).toHaveLength(3)

      const listed = yield* told(CleanupReport, "cleanup", "--dry-run")
      expect(listed.removed).toBe(false)
      expect(isLeft(listed)).toEqual(doomed.toSorted())
      const { stdout } = yield* said("cleanup", "--dry-run")
      for (const id of doomed) expect(stdout).toContain(id)

      const both = yield* Effect.all([told(CleanupReport, "cleanup"), told(CleanupReport, "cleanup")], {
        concurrency: 2
      })
      expect(both.flatMap(isLeft).toSorted()).toEqual(doomed.toSorted())
      expect(both.flatMap(({ notes }) => notes)).toEqual([])
      expect(readdirSync(folder)).toEqual(living.map(({ id }) => id.slice(0, 13)))
      expect((yield* told(PsReport, "ps")).machines).toEqual(living)
      expect(living.flatMap(({ id }) => processesOf(id))).toHaveLength(processesOfEach)

      yield* survivor.kill
      expect((yield* said("ps")).stdout).toBe("No machine is alive.\n")
      yield* said("cleanup")
      expect(readdirSync(folder)).toEqual([])
      expect((yield* said("cleanup", "--dry-run")).stdout).toBe("Nothing is left behind.\n")
    }),
  testMs
)
