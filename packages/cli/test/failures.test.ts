/** Every reason that only the command has and that needs no guest, from its real cause. */
import { expect } from "bun:test"
import { mkdtempSync, openSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ReportedError } from "@capsa/cli"
import type * as Report from "@capsa/cli/Report"
import { errorOf } from "@capsa/cli/Run"
import type { NamesIn } from "@capsa/core/Failure"
import * as Lease from "@capsa/state/Lease"
import { planOf } from "@capsa/testing"
import { type Cause, produces } from "@capsa/testing/failures"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { argv } from "./capsa.ts"
import { failsWith, type OfGuests } from "./failures.ts"

const print = (words: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  new Response(Bun.spawn(argv(...words), { stdin: "ignore", env: { ...Bun.env, ...env } }).stdout).text()

/** Fails with what the program says on stdout as data. */
const says = (...words: ReadonlyArray<string>) => failsWith(() => print([...words, "--json"]))

const stateFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "capsa-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** A supervisor that hangs up on everybody. */
const deafSupervisor = (folder: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((socket) => socket.destroy())
      await new Promise<void>((listening) => server.listen(join(folder, "control"), listening))
      return server
    }),
    (server) => Effect.promise(() => new Promise((closed) => server.close(closed)))
  )

/** The same where machines of this process have these names. */
const saysAmong = (names: ReadonlyArray<string>, words: ReadonlyArray<string>, supervised = false) =>
  Effect.gen(function* () {
    const env = { CAPSA_STATE_DIR: yield* stateFolder }
    const leases = yield* Effect.forEach(names, (name) => Lease.take({ ...planOf(), name }, "qemu")).pipe(
      Effect.withConfigProvider(ConfigProvider.fromJson(env))
    )
    if (supervised) yield* Effect.forEach(leases, ({ folder }) => deafSupervisor(folder))
    return yield* failsWith(() => print(words, env))
  }).pipe(Effect.scoped)

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
  "TargetError.NoSuchMachine": {
    happens: saysAmong(["web"], ["logs", "db", "--json"]),
    says: { target: "db", hint: expect.stringContaining("capsa ps") }
  },
  "TargetError.Ambiguous": {
    happens: saysAmong(["web", "web"], ["stop", "web", "--json"]),
    says: { target: "web", message: expect.stringMatching(/web \(.{36}\) or web \(.{36}\)/) }
  },
  "TargetError.NotDetached": {
    happens: saysAmong(["web"], ["cp", "web:/etc/passwd", ".", "--json"]),
    says: { target: "web", message: expect.stringContaining(String(process.pid)) }
  },
  "TargetError.NameTaken": {
    happens: saysAmong(["web"], ["run", "--detach", "--name", "web", "--json"]),
    says: { target: "web", hint: expect.stringContaining("capsa stop web") }
  },
  "TargetError.SupervisorLost": {
    happens: saysAmong(["web"], ["exec", "web", "--json", "--", "true"], true),
    says: { target: "web", hint: expect.stringContaining("capsa cleanup") }
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
