/** `run` and `login` in real guests, the same for every backend: CAPSA_TEST_BACKEND chooses it (kvm or qemu, the default). */
import { describe, expect } from "bun:test"
import { type Backend, ConsoleError } from "@capsa/core"
import { live } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Vm from "../src/Vm.ts"
import { backend, backendName, capabilities, quick, tiny } from "./fixtures/realBackend.ts"

/** Emulators are slow, and emulators in emulators are slower still. */
const bootTime = "2 minutes"
const timeout = "3 minutes"
/** Long enough for a command to begin; each typed character costs many exits, and those cost most in the arm64 lab. */
const shortly = process.arch === "arm64" ? "30 seconds" : "3 seconds"
const prompt = "capsa# "
const testMs = 600_000

const showConsole = (error: unknown) =>
  error instanceof ConsoleError ? Effect.logError(`${error.message}\n${error.received}`) : Effect.void

for (const device of ["serial", "virtio"] as const) {
  const lacks = !capabilities.consoles.includes(device)
  /** What QEMU's virtio console has room for until this process gets round to reading it: it drops the rest. */
  const outputMax = backendName === "qemu" && device === "virtio" ? 1000 : 100_000
  const cause = lacks ? ` — skipped: ${backendName} has no ${device} console` : ""

  const test = (name: string, body: () => Effect.Effect<unknown, unknown, Backend | Scope.Scope>) =>
    live.skipIf(lacks)(name, () => body().pipe(Effect.tapError(showConsole), Effect.provide(backend)), testMs)

  const bootedWith = Effect.fnUntraced(function* (cmdline?: string) {
    const vm = yield* Vm.launch({ boot: { ...quick, console: device, cmdline } })
    yield* vm.console.expect(prompt, { timeout: bootTime })
    return vm
  })
  /** Its kernel says nothing of itself later on, such as how well it keeps time. */
  const booted = bootedWith("loglevel=1")

  describe(`the ${device} console on ${backendName}${cause}`, () => {
    test("run: commands of every kind", () =>
      Effect.gen(function* () {
        const { console } = yield* booted
        const run = (command: string) => console.run(command, { timeout, prompt })
        expect(yield* run("uname -r")).toMatchObject({ output: `${tiny.kernelRelease}\n`, exitCode: 0, lost: 0 })
        expect(yield* run("printf 'no line end'; exit_with() { return $1; }; exit_with 42")).toMatchObject({
          output: "no line end",
          exitCode: 42
        })
        expect(yield* run("cat <<'EOF' >/tmp/file\n\ttwo \"lines\"\nit's $HOME \\ é😀\nEOF")).toMatchObject({
          output: ""
        })
        expect((yield* run("cat /tmp/file")).output).toBe('\ttwo "lines"\nit\'s $HOME \\ é😀\n')
        expect((yield* run(`dd if=/dev/zero bs=1000 count=${outputMax / 1000} 2>/dev/null | tr '\\0' x`)).output).toBe(
          "x".repeat(outputMax)
        )
        expect((yield* run(`echo ${"long ".repeat(1000)}| wc -c`)).output).toBe("5000\n")
        const octal = Array.from({ length: 256 }, (_, byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")
        expect([...(yield* run(`printf '${octal}'`)).bytes]).toEqual(Array.from({ length: 256 }, (_, byte) => byte))
        expect(yield* run("if")).toMatchObject({ exitCode: 2 })
        expect(yield* run("no-such-program")).toMatchObject({ exitCode: 127 })
      }))

    test("run: while the kernel talks", () =>
      Effect.gen(function* () {
        const { console } = yield* bootedWith()
        yield* console.run("(while usleep 1000; do echo noise >/dev/kmsg; done) & talker=$!", { timeout })
        for (let count = 0; count < 20; count++) {
          const { output, exitCode } = yield* console.run(`echo result ${count}; (exit ${count})`, { timeout })
          expect(output.replace(/\[ *\d+\.\d{6}\] [^\n]*\n/g, "").replaceAll("\r", "")).toBe(`result ${count}\n`)
          expect(exitCode).toBe(count)
        }
        yield* console.run("kill $talker", { timeout })
      }))

    test("run: an interrupt ends what runs, and eof its input", () =>
      Effect.gen(function* () {
        const { console } = yield* booted
        const error = yield* Effect.flip(console.run("echo begun; sleep 1000", { timeout: shortly }))
        expect(error).toMatchObject({ reason: "Timeout", received: expect.stringMatching(/^begun\r\n/) })
        yield* console.interrupt
        const sleeping = yield* Effect.fork(console.run("sh -c 'echo asleep; exec sleep 1000'", { timeout }))
        yield* console.expect(/asleep\r\n/, { timeout })
        yield* console.interrupt
        expect(yield* Fiber.join(sleeping)).toMatchObject({ exitCode: 130 })
        const copying = yield* Effect.fork(console.run("stty -echo; echo go; cat; stty echo", { timeout }))
        yield* console.expect(/go\r\n/, { timeout })
        yield* console.writeLine("typed")
        yield* console.eof
        expect(yield* Fiber.join(copying)).toMatchObject({ output: "go\ntyped\n", exitCode: 0 })
      }))

    test("login: at a real getty, refused and let in", () =>
      Effect.gen(function* () {
        const vm = yield* booted
        const { console } = vm
        const password = "pass word"
        const settings = [
          "mkdir -p /root",
          "ln -sf busybox /bin/login",
          "echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd",
          "echo 'root:x:0:' >/etc/group",
          `echo "root:$(mkpasswd -m sha512 '${password}'):1:0:99999:7:::" >/etc/shadow`,
          "printf 'Welcome: costs nothing\\n' >/etc/motd",
          "export PS1='\\u@guest:\\w\\$ '"
        ]
        expect(yield* console.run(settings.join("\n"), { timeout })).toMatchObject({ output: "", exitCode: 0 })
        const tty = (yield* console.run("cat /sys/class/tty/console/active", { timeout })).output
          .trim()
          .split(" ")
          .at(-1)
        // In a subshell, since only a process that leads no group can lead a session.
        yield* console.writeLine(`(while :; do getty -L 115200 ${tty} vt100; done)`)

        const error = yield* Effect.flip(console.login({ user: "root", password: "wrong", timeout }))
        expect(error).toMatchObject({ _tag: "ConsoleError", reason: "LoginIncorrect" })
        yield* console.expect("login: ", { timeout })
        yield* console.login({ user: "root", password, timeout })
        expect((yield* console.run("echo $USER $PWD; tty", { timeout })).output).toBe(`root /root\n/dev/${tty}\n`)
        expect(Buffer.from(yield* console.history).toString()).not.toContain(`${password}\r\n`)
        yield* console.writeLine("exit")
        yield* console.login({ user: "root", password, timeout })
      }))
  })
}
