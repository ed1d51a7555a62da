import { describe, expect, test } from "bun:test"
import { RunError, UsageError } from "@capsa/cli/CliError"
import * as Report from "@capsa/cli/Report"
import { StdioError } from "@capsa/cli/Stdio"
import { BackendError, VmBootError, VmConfigError } from "@capsa/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const denied = new BackendError({
  reason: "PermissionDenied",
  backend: "kvm",
  subject: "/dev/kvm",
  errno: "EACCES",
  detail: "It may not be opened",
  hint: "Join the group kvm.",
  cause: new Error("open")
})
const silent = new VmBootError({
  reason: "KernelPanic",
  stage: "kernel",
  consoleTail: "one\r\ntwo\r\n",
  detail: "The guest fell over",
  hint: "Look up."
})
const unbuilt = new VmBootError({
  reason: "GuestUnavailable",
  detail: "No guest",
  hint: "Update.",
  cause: Object.assign(new Error("outer"), { cause: "tar: no space\n" })
})
const config = new VmConfigError({
  reason: "Invalid",
  problems: [
    { path: "boot.kernel", detail: "There is none.", hint: "Name one." },
    { path: "console.historyBytes", detail: "Too few.", hint: "Give more." }
  ]
})
const timeout = new RunError({ reason: "Timeout", detail: "Over.", hint: "Wait." })
const usage = new UsageError({ reason: "UnknownVerb", detail: "What?", hint: "Look." })
const gone = new StdioError({ reason: "Closed", stream: "stdout", errno: "EPIPE" })

describe("the lines for people", () => {
  const cases: ReadonlyArray<readonly [error: Report.ReportedError, text: string]> = [
    [denied, "capsa: It may not be opened (/dev/kvm, EACCES)\n→ Join the group kvm.\n"],
    [silent, "capsa: The guest fell over\n→ Look up.\n"],
    [unbuilt, "capsa: No guest\n→ Update.\n"],
    [config, "capsa: --kernel: There is none.\n→ Name one.\ncapsa: console.historyBytes: Too few.\n→ Give more.\n"],
    [usage, "capsa: What?\n→ Look.\n"]
  ]
  for (const [error, text] of cases) {
    test(`of ${error._tag} ${"reason" in error ? error.reason : ""}`, () => {
      expect(Report.toText(error, { colours: false })).toBe(text)
      expect(Bun.stripANSI(Report.toText(error, { colours: true }))).toBe(text)
    })
  }
})

describe("--verbose says more before", () => {
  for (const [error, text] of [
    [silent, "  | one\n  | two\n  reached: kernel\n  see: docs/FAILURES.md#vmbooterror-kernelpanic\n"],
    [unbuilt, "  because: outer\n  because: tar: no space\n  see: docs/FAILURES.md#vmbooterror-guestunavailable\n"]
  ] as const) {
    test(`of ${error.reason}`, () => {
      const short = Report.toText(error, { colours: false })
      expect(Report.toText(error, { colours: false }, { verbose: true })).toBe(text + short)
      expect(Bun.stripANSI(Report.toText(error, { colours: true }, { verbose: true }))).toBe(text + short)
    })
  }
})

describe("as data", () => {
  for (const error of [denied, silent, unbuilt, config, timeout, usage, gone]) {
    test(`${error._tag} goes through JSON and back, and says what it says and what to do`, async () => {
      const data = JSON.parse(JSON.stringify(await Effect.runPromise(Report.toData(error))))
      expect(data).toMatchObject({ message: error.message, hint: error.hint, retryable: error.retryable })
      const decoded = Schema.decodeUnknownSync(Report.ReportedError)(data)
      expect(decoded._tag).toBe(error._tag)
      expect(decoded.message).toBe(error.message)
    })
  }
})

test("exit statuses", () => {
  expect([denied, silent, config, timeout, usage, gone].map((error) => Report.statusOf(error))).toEqual([
    1, 1, 1, 124, 2, 141
  ])
})
