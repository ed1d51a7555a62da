/** Every reason that the command has for the end of a guest, from its real cause, on QEMU. */
import { expect } from "bun:test"
import { ReportedError } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import { type Cause, produces } from "@capsa/testing/failures"
import { processesWith } from "@capsa/testing/processes"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import { argv } from "./capsa.ts"
import { failsWith, type OfGuests } from "./failures.ts"

const { bzImage, initrd } = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))

const start = (...words: ReadonlyArray<string>) =>
  Bun.spawn(argv("run", "--backend", "qemu", "--kernel", bzImage, "--memory", "128MiB", "--json", ...words), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe"
  })

const ends = (...words: ReadonlyArray<string>) => failsWith(() => new Response(start(...words).stdout).text())

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
    says: { message: expect.stringContaining("300ms") }
  },
  "RunError.Panic": {
    happens: ends(),
    says: { message: expect.stringContaining("VFS: Unable to mount root") }
  },
  "RunError.Failed": { happens: loses, says: { message: expect.stringContaining("SIGKILL") } }
}

produces(ReportedError, causes, (effect) => effect, { timeoutMs: 300_000 })
