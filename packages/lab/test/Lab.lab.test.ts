/** Boots the real lab. Runs on the host, not in the lab itself. */

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Lab from "@capsa/lab/Lab"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const { CAPSA_LAB, HOME } = process.env
const cause =
  CAPSA_LAB === "1"
    ? "this is the lab itself"
    : process.getuid?.() !== 0
      ? "the lab must be started by root"
      : undefined

setDefaultTimeout(180_000)

const main = Bun.fileURLToPath(new URL("../src/main.ts", import.meta.url))
const repository = Bun.fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "")
const folder = mkdtempSync(`${tmpdir()}/capsa-lab-test.`)
afterAll(() => rmSync(folder, { recursive: true }))

/** The lab as its users call it. */
const lab = async (...args: Array<string>) => {
  const run = Bun.spawn([process.execPath, main, ...args], { stdout: "pipe", stderr: "pipe" })
  const [stdout, stderr, exitCode] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited])
  return { stdout, stderr, exitCode }
}

const sh = (script: string) => lab("--", "sh", "-c", script)

/** Processes with `text` on their command line. */
const processes = (text: string) =>
  readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(text)
    } catch {
      return false
    }
  })

describe.skipIf(cause !== undefined)(`the lab${cause === undefined ? "" : ` — skipped: ${cause}`}`, () => {
  test("passes status and both streams through, and has KVM", async () => {
    expect(await sh("test -c /dev/kvm && nproc; echo to stderr >&2; exit 7")).toEqual({
      stdout: "1\n",
      stderr: "to stderr\n",
      exitCode: 7
    })
  })

  test("passes words, environment and working folder through as they are", async () => {
    const script = "console.log(JSON.stringify([process.argv.slice(1), process.cwd(), process.env.HOME]))"
    const words = ["a b", "it's", '"$HOME"', "", "\\n", "line\nbreak", "ä"]
    const { stdout, exitCode } = await lab("--", "bun", "-e", script, ...words)
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toEqual([words, repository, HOME])
  })

  test("passes megabytes of any bytes through, and shows folders read-only where asked", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(65536))
    const whole = Buffer.concat(Array.from({ length: 48 }, () => bytes))
    writeFileSync(`${folder}/bytes`, whole)
    const run = Bun.spawn(
      [
        process.execPath,
        main,
        "--mount",
        `${folder}:/mnt/shown`,
        "--",
        "sh",
        "-c",
        "cat /mnt/shown/bytes; touch /mnt/shown/new"
      ],
      { stdout: "pipe", stderr: "pipe" }
    )
    const [stdout, stderr] = await Promise.all([run.stdout.bytes(), run.stderr.text()])
    expect(Buffer.compare(stdout, whole)).toBe(0)
    expect(stderr).toContain("Read-only file system")
    expect(await run.exited).toBe(1)
  })

  test("lets the command write anywhere, and the host sees nothing of it", async () => {
    const name = `capsa-lab-${process.pid}`
    const places = ["/tmp", "/run", "/dev/shm", "/etc"]
    const { stdout } = await sh(`for f in ${places.join(" ")}; do echo x > $f/${name}; cat $f/${name}; done`)
    expect(stdout).toBe("x\n".repeat(places.length))
    for (const place of places) {
      expect(existsSync(`${place}/${name}`)).toBe(false)
    }
  })

  test("ends when the command ends, whatever it left running, and tells of a signal as a shell does", async () => {
    expect(await sh("sleep 1000 & kill -TERM $$")).toMatchObject({ exitCode: 128 + 15 })
  })

  test("--icount: one processor, and the same work takes the same virtual time", async () => {
    // Builtins only, and once to warm up: waiting for files of the host takes as long as it takes.
    const work = `nproc
      work() { i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; read -r now _ </proc/uptime; }
      work; before=$now; work; echo $before $now`
    const measure = async () => {
      const [cpus, uptimes] = (await lab("--icount", "--", "sh", "-c", work)).stdout.split("\n")
      expect(cpus).toBe("1")
      const [before, after] = (uptimes ?? "").split(" ").map(Number)
      return (after ?? 0) - (before ?? 0)
    }
    const [one, other] = [await measure(), await measure()]
    expect(one).toBeGreaterThan(0.05)
    expect(Math.abs(one - other)).toBeLessThanOrEqual(0.02)
  })

  test("a machine that is lost says so, with the kernel's last words", async () => {
    const { stderr, exitCode } = await sh("echo c > /proc/sysrq-trigger")
    expect(exitCode).toBe(1)
    expect(stderr).toContain("the lab machine ended while it ran")
    expect(stderr).toContain("sysrq triggered crash")
  })

  test("a folder to show that is not there is an error", async () => {
    const { stderr, exitCode } = await lab("--mount", "/nosuch:/mnt", "--", "true")
    expect({ exitCode, named: stderr.includes("/nosuch:/mnt") }).toEqual({ exitCode: 1, named: true })
  })

  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 130],
    ["SIGKILL", 137]
  ] as const) {
    test(`${signal} leaves no process behind`, async () => {
      const temporary = mkdtempSync(`${folder}/${signal}.`)
      const run = Bun.spawn([process.execPath, main, "--", "sh", "-c", "echo up; sleep 1000"], {
        env: { ...process.env, TMPDIR: temporary },
        stdout: "pipe"
      })
      await run.stdout.getReader().read()
      expect(processes(temporary).length).toBeGreaterThanOrEqual(4)
      run.kill(signal)
      expect(await run.exited).toBe(status)
      // After SIGKILL it is the kernel that ends them, a moment later.
      while (signal === "SIGKILL" && processes(temporary).length > 0) await Bun.sleep(10)
      expect(processes(temporary)).toEqual([])
      if (signal !== "SIGKILL") expect(readdirSync(temporary)).toEqual([])
    })
  }

  test("as a library: streams, status, and the end of the scope is the end of the machine", async () => {
    const program = Effect.gen(function* () {
      const run = yield* Lab.runInLab({
        command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"],
        workingFolder: "/"
      })
      const text = (stream: typeof run.stdout) => Stream.mkString(Stream.decodeText(stream))
      return yield* Effect.all([text(run.stdout), text(run.stderr), run.exitCode], { concurrency: 3 })
    })
    expect(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(BunContext.layer)))).toEqual([
      "out\n",
      "err\n",
      3
    ])
  })
})
