import { describe, expect, test } from "bun:test"
import { BackendError, VmBootError, VmConfigError } from "@capsa/core"
import * as Failure from "@capsa/core/Failure"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const host = Object.assign(new Error("open failed"), { code: "EACCES" })
const denied = new BackendError({
  reason: "PermissionDenied",
  subject: "/dev/kvm",
  errno: "EACCES",
  detail: "It may not be opened",
  hint: "Join the group kvm.",
  cause: new Error("no machine", { cause: host })
})

describe("an error for people", () => {
  test("is what happened and what to do, whatever was quoted", () => {
    expect(Failure.pretty(denied)).toBe("It may not be opened (/dev/kvm, EACCES)\n→ Join the group kvm.")
    const quoting = new VmBootError({ reason: "HostFailure", detail: "QEMU said: one\n  two\n", hint: "Look." })
    expect(Failure.pretty(quoting)).toBe("QEMU said: one · two\n→ Look.")
  })

  test("is that for each problem of a configuration", () => {
    const error = new VmConfigError({
      reason: "Invalid",
      problems: [
        { path: "cpus", detail: "None.", hint: "Give one." },
        { path: "memory", detail: "Too little.", hint: "Give more." }
      ]
    })
    expect(Failure.pretty(error)).toBe("cpus: None.\n→ Give one.\nmemory: Too little.\n→ Give more.")
  })

  test("tells on request what the machine said, how far it came, and all causes with the host's names", () => {
    expect(Failure.pretty(denied, { verbose: true }).split("\n").slice(0, 3)).toEqual([
      "  because: no machine",
      "  because: open failed (EACCES)",
      "  see: docs/FAILURES.md#backenderror-permissiondenied"
    ])
    const booted = new VmBootError({
      reason: "KernelPanic",
      stage: "kernel",
      consoleTail: "one\r\n\r\ntwo\r\r\n",
      detail: "It fell over",
      hint: "Look up."
    })
    expect(Failure.pretty(booted, { verbose: true })).toBe(
      "  | one\n  | two\n  reached: kernel\n  see: docs/FAILURES.md#vmbooterror-kernelpanic\nIt fell over\n→ Look up."
    )
  })
})

test("a circle of causes ends", () => {
  const snake = new Error("snake")
  snake.cause = snake
  expect(Failure.causesOf({ cause: snake }).length).toBeLessThan(100)
})

test("an error as JSON has what it says and its causes, and is read as the same class", async () => {
  const data = JSON.parse(JSON.stringify(await Effect.runPromise(Failure.toJson(denied))))
  expect(data).toMatchObject({
    _tag: "BackendError",
    reason: "PermissionDenied",
    errno: "EACCES",
    message: "It may not be opened (/dev/kvm, EACCES)",
    hint: "Join the group kvm.",
    retryable: false,
    docs: "docs/FAILURES.md#backenderror-permissiondenied",
    causes: ["no machine", "open failed (EACCES)"]
  })
  const read = Schema.decodeUnknownSync(Failure.Failure)(data)
  expect(read).toBeInstanceOf(BackendError)
  expect(Failure.pretty(read)).toBe(Failure.pretty(denied))
})
