/** `capsa run -- CMD` on real machines: CAPSA_TEST_BACKEND chooses the backend (kvm or qemu, the default). */
import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CommandReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import { processesWith } from "@capsa/testing/processes"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { argv, capsa, told } from "./capsa.ts"
import { inTerminal } from "./terminal.ts"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
const quick = ["run", "--backend", backend, "--kernel", tiny.bzImage, "--initrd", tiny.initrd, "--memory", "128MiB"]

/** Emulators in emulators are slow. */
const testMs = 300_000

describe("capsa run -- CMD", () => {
  test(
    "in the built-in guest: output and errors each on its own stream, and the status is the command's",
    async () => {
      const words = ["run", "--backend", backend, "--", "sh", "-c", "echo out; echo err >&2; exit 7"]
      const finished = await capsa(words)
      expect({ ...finished, stderr: told(finished) }).toEqual({ status: 7, stdout: "out\n", stderr: ["err"] })
    },
    testMs
  )

  test(
    "what is piped in is the command's input, byte for byte, and its end is the end",
    async () => {
      const input = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) % 256))
      const child = Bun.spawn(argv(...quick, "--", "cat"), { stdin: input, stdout: "pipe", stderr: "pipe" })
      const [bytes, status] = await Promise.all([child.stdout.bytes(), child.exited])
      expect(Buffer.compare(bytes, input)).toBe(0)
      expect(status).toBe(0)
    },
    testMs
  )

  test(
    "--env, --cwd and --user; a signal is a status; --json tells all at the end",
    async () => {
      const who = ["--env", "GREETING=good day", "--cwd", "/tmp", "--user", "nobody", "--json"]
      const script = 'echo "$GREETING from $(pwd) by $(id -u)"; echo oops >&2; kill -KILL $$'
      const { status, stdout } = await capsa([...quick, ...who, "--", "sh", "-c", script])
      expect(Schema.decodeUnknownSync(Schema.parseJson(CommandReport))(stdout)).toMatchObject({
        stdout: "good day from /tmp by 65534\n",
        stderr: "oops\n",
        exitCode: 137,
        signal: "SIGKILL",
        truncated: false,
        backend: { name: backend }
      })
      expect(status).toBe(137)
    },
    testMs
  )

  test(
    "--timeout kills it and exits with 124",
    async () => {
      const finished = await capsa([...quick, "--timeout", "20s", "--", "sleep", "1000"])
      expect(told(finished)[0]).toContain("killed after 20s")
      expect(finished.status).toBe(124)
    },
    testMs
  )

  test(
    "--timeout is the whole time, and leaves nothing of the machine",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "capsa-state."))
      try {
        const env = { CAPSA_STATE_DIR: folder }
        expect((await capsa([...quick, "--timeout", "2s", "--", "sleep", "60"], "", env)).status).toBe(124)
        expect(processesWith(folder)).toEqual([])
        expect(JSON.parse((await capsa(["ps", "--json"], "", env)).stdout)).toEqual({ machines: [] })
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
    testMs
  )

  test(
    "what is no command exits with 127, and what capsa itself cannot do with 125",
    async () => {
      const nothing = await capsa([...quick, "--", "no-such-program"])
      expect(told(nothing)[0]).toContain("no-such-program")
      expect(nothing.status).toBe(127)
      const folder = await capsa([...quick, "--", "/tmp"])
      expect(folder.status).toBe(126)
      const noKernel = await capsa(["run", "--backend", backend, "--kernel", "/nowhere/vmlinuz", "--", "true"])
      expect(noKernel.status).toBe(125)
    },
    testMs
  )

  test(
    "what the command leaves behind does not keep it, and the reader may leave",
    async () => {
      const left = await capsa([...quick, "--", "sh", "-c", "sleep 1000 & echo started"])
      expect(left).toMatchObject({ status: 0, stdout: "started\n" })
      const child = Bun.spawn(argv(...quick, "--", "yes"), { stdin: "ignore", stdout: "pipe", stderr: "pipe" })
      const reader = child.stdout.getReader()
      await reader.read()
      await reader.cancel()
      expect(await child.exited).toBe(141)
    },
    testMs
  )

  test(
    "--tty: its size, keys, Ctrl-C, and the terminal is as before",
    async () => {
      const seen = await inTerminal(
        [...quick, "--tty", "--env", "PS1=guest> ", "--", "sh"],
        [
          [/guest>/, "sh -c 'stty size; exec sleep 1000'\r"],
          [/30 100/, "\u0003"],
          [/guest>/, "exit 5\r"]
        ]
      )
      expect(seen.status).toBe(5)
      expect(seen.during).not.toContain(seen.before)
      expect(seen.after).toBe(seen.before)
    },
    testMs
  )
})
