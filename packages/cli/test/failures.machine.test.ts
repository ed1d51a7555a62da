/** Every reason that the command has for the end of a guest, from its real cause, on QEMU. */
import { expect } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { ReportedError } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import { type Cause, produces } from "@capsa/testing/failures"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { argv } from "./capsa.ts"
import { failsWith, type OfGuests } from "./failures.ts"

const skipped = Bun.env["CAPSA_TEST_BACKEND"] === "kvm" ? "in the lab QEMU would be an emulator within one" : undefined
const { bzImage, initrd } =
  skipped === undefined
    ? await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
    : { bzImage: "", initrd: "" }

const start = (...words: ReadonlyArray<string>) =>
  Bun.spawn(argv("run", "--backend", "qemu", "--kernel", bzImage, "--memory", "128MiB", "--json", ...words), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe"
  })

const ends = (...words: ReadonlyArray<string>) => failsWith(() => new Response(start(...words).stdout).text())

/** Ids of the processes that have a text in their command line. */
const processesWith = (text: string): ReadonlyArray<number> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
      } catch {
        // It has ended since it was listed.
        return false
      }
    })

/** Runs a machine whose QEMU is killed as soon as the guest has said something. */
const loses = failsWith(async () => {
  const name = `lost-${crypto.randomUUID()}`
  const child = start("--initrd", initrd, "--name", name)
  await child.stderr.getReader().read()
  for (const pid of processesWith(`guest=${name}`)) process.kill(pid, "SIGKILL")
  return new Response(child.stdout).text()
})

const causes: Record<OfGuests, Cause<unknown, never>> = {
  "RunError.Timeout": {
    happens: ends("--initrd", initrd, "--timeout", "300ms"),
    says: { message: expect.stringContaining("300ms") },
    skipped
  },
  "RunError.Panic": {
    happens: ends(),
    says: { message: expect.stringContaining("VFS: Unable to mount root") },
    skipped
  },
  "RunError.Failed": { happens: loses, says: { message: expect.stringContaining("SIGKILL") }, skipped }
}

produces(ReportedError, causes, (effect) => effect, 300_000)
