/** Every reason that only the command has and that needs no guest, from its real cause. */
import { expect } from "bun:test"
import { openSync } from "node:fs"
import { join } from "node:path"
import { ReportedError } from "@capsa/cli"
import type * as Report from "@capsa/cli/Report"
import { errorOf } from "@capsa/cli/Run"
import type { NamesIn } from "@capsa/core/Failure"
import { type Cause, produces } from "@capsa/testing/failures"
import * as Effect from "effect/Effect"
import { argv } from "./capsa.ts"
import { failsWith, type OfGuests } from "./failures.ts"

/** Fails with what the program says on stdout as data. */
const says = (...words: ReadonlyArray<string>) =>
  failsWith(() => new Response(Bun.spawn(argv(...words, "--json"), { stdin: "ignore" }).stdout).text())

/** Fails as writing to a standard output fails. */
const writesTo = (stdout: "full" | "closed") =>
  failsWith(async () => {
    const target = stdout === "full" ? openSync("/dev/full", "w") : "pipe"
    const program = [process.execPath, join(import.meta.dir, "fixtures/stdioFailure.ts")]
    const child = Bun.spawn(program, { stdin: "ignore", stdout: target, stderr: "pipe" })
    if (child.stdout instanceof ReadableStream) await child.stdout.cancel()
    return new Response(child.stderr).text()
  })

const causes: Record<Exclude<NamesIn<typeof Report.reasons>, OfGuests>, Cause<unknown, never>> = {
  "UsageError.UnknownVerb": { happens: says("fly"), says: { message: "There is no verb fly." } },
  "UsageError.UnknownOption": { happens: says("run", "--fly"), says: { message: expect.stringContaining("--fly") } },
  "UsageError.InvalidValue": {
    happens: says("run", "--memory", "much"),
    says: { message: expect.stringContaining("--memory") }
  },
  "UsageError.Conflict": {
    happens: says("run", "--initrd", "x"),
    says: { hint: expect.stringContaining("--kernel") }
  },
  "StdioError.Closed": { happens: writesTo("closed"), says: { stream: "stdout", errno: "EPIPE" } },
  "StdioError.HostFailure": { happens: writesTo("full"), says: { stream: "stdout", errno: "ENOSPC" } },
  // No backend limits memory from the command line, so here only the exit is what it would be.
  "RunError.OutOfMemory": {
    happens: Effect.suspend(() => errorOf("ended", { _tag: "OutOfMemory" }, { timeout: undefined }) ?? Effect.void),
    says: { hint: expect.stringContaining("--memory") }
  }
}

produces(ReportedError, causes, (effect) => effect)
