/** `capsa run --detach` and what reaches its machines, on QEMU. */
import { describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CleanupReport, ExecReport, MachineReport, PsReport, StopReport } from "@capsa/cli"
import { GuestImages } from "@capsa/guest"
import { isAlive, processesWith } from "@capsa/testing/processes"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { argv, capsa, told } from "./capsa.ts"

const backend = "qemu"
const tiny = await Effect.runPromise(Effect.provide(GuestImages.tiny, BunContext.layer))
const guest = ["--backend", backend, "--kernel", tiny.bzImage, "--initrd", tiny.initrd, "--memory", "128MiB"]

/** Emulators in emulators are slow. */
const testMs = 600_000

/** A state folder and a folder for files; what is alive in it is ended, and all removed, with the block. */
const place = () => {
  const folder = mkdtempSync(join(tmpdir(), "capsa-"))
  const state = join(folder, "state")
  const env = { CAPSA_STATE_DIR: state }
  const run = (...words: ReadonlyArray<string>) => capsa(words, "", env)
  const decoded = async <A, I>(schema: Schema.Schema<A, I>, ...words: ReadonlyArray<string>): Promise<A> =>
    Schema.decodeUnknownSync(Schema.parseJson(schema))((await run(...words, "--json")).stdout)
  const alive = async () => (await decoded(PsReport, "ps")).machines
  return {
    folder,
    state,
    env,
    run,
    decoded,
    alive,
    /** `main` is what the machine is there to run. */
    detach: async (name: string, ...main: ReadonlyArray<string>) => {
      const words = main.length === 0 ? [] : ["--", ...main]
      const { stdout } = await run("run", "--detach", "--name", name, ...guest, "--json", ...words)
      return Schema.decodeUnknownSync(Schema.parseJson(MachineReport))(stdout)
    },
    [Symbol.asyncDispose]: async () => {
      for (const { owner } of await alive()) process.kill(owner, "SIGKILL")
      rmSync(folder, { recursive: true })
    }
  }
}

/** Waits for what becomes true without anybody telling. */
const until = async (holds: () => boolean | Promise<boolean>) => {
  for (let looks = 0; !(await holds()); looks++) {
    expect(looks).toBeLessThan(10_000)
    await Bun.sleep(10)
  }
}

describe("capsa run --detach", () => {
  test(
    "exec, cp and logs reach the machine from other processes, and stop ends it",
    async () => {
      await using here = place()
      const { stdout: id, status } = await here.run("run", "--detach", "--name", "web", "--backend", backend)
      expect([status, id]).toEqual([0, expect.stringMatching(/^[0-9a-f-]{36}\n$/)])
      expect(await here.alive()).toMatchObject([{ id: id.trim(), name: "web", backend }])
      expect(statSync(join(here.state, id.slice(0, 13), "control")).mode & 0o777).toBe(0o600)

      const spoken = await here.run("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
      expect({ ...spoken, stderr: told(spoken) }).toEqual({ status: 7, stdout: "out\n", stderr: ["err"] })
      const input = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) % 256))
      const cat = Bun.spawn(argv("exec", id.slice(0, 8), "--", "cat"), {
        stdin: input,
        stderr: "inherit",
        env: { ...Bun.env, ...here.env }
      })
      expect(Buffer.compare(await cat.stdout.bytes(), input)).toBe(0)
      const who = ["--env", "GREETING=good day", "--cwd", "/tmp", "--user", "nobody"]
      const script = 'echo "$GREETING from $(pwd) by $(id -u)"; kill -KILL $$'
      expect(await here.decoded(ExecReport, "exec", "web", ...who, "--json", "--", "sh", "-c", script)).toMatchObject({
        stdout: "good day from /tmp by 65534\n",
        exitCode: 137,
        signal: "SIGKILL"
      })
      expect(await here.run("exec", "web", "--", "no-such-program")).toMatchObject({ status: 127 })

      const tree = join(here.folder, "tree")
      mkdirSync(join(tree, "sub"), { recursive: true })
      writeFileSync(join(tree, "sub", "a b"), "first\n")
      expect(await here.run("cp", tree, "web:/tmp/copy")).toMatchObject({ status: 0 })
      expect(await here.run("cp", tree, "web:/tmp")).toMatchObject({ status: 0 })
      expect((await here.run("exec", "web", "--", "sh", "-c", "cat /tmp/copy/sub/*b /tmp/tree/sub/*b")).stdout).toBe(
        "first\nfirst\n"
      )
      expect(await here.run("cp", "web:/tmp/copy/sub/a b", join(here.folder, "back"))).toMatchObject({ status: 0 })
      expect(readFileSync(join(here.folder, "back"), "utf8")).toBe("first\n")
      const nothing = await here.run("cp", "web:/no/such", here.folder)
      expect([nothing.status, told(nothing)[0]]).toEqual([1, expect.stringContaining("/no/such")])

      expect((await here.run("logs", "web")).stdout).toContain("capsa#")
      expect(await here.run("run", "--detach", "--name", "web")).toMatchObject({ status: 1 })
      expect(await here.decoded(StopReport, "stop", "web")).toMatchObject({ name: "web", exit: { _tag: "PowerOff" } })
      expect([await here.alive(), readdirSync(here.state), processesWith(id.trim())]).toEqual([[], [], []])
    },
    testMs
  )

  test(
    "an interrupted exec kills its command and all that it started",
    async () => {
      await using here = place()
      await here.run("run", "--detach", "--name", "web", "--backend", backend)
      const child = Bun.spawn(argv("exec", "web", "--", "sh", "-c", "sleep 4321 & echo started; sleep 4321"), {
        stdin: "ignore",
        stderr: "inherit",
        env: { ...Bun.env, ...here.env }
      })
      await child.stdout.getReader().read()
      const listing = "ps | grep '[s]leep 4321' | wc -l"
      const sleepers = async () => Number((await here.run("exec", "web", "--", "sh", "-c", listing)).stdout)
      expect(await sleepers()).toBeGreaterThan(0)
      child.kill("SIGINT")
      expect(await child.exited).toBe(130)
      await until(async () => (await sleepers()) === 0)
    },
    testMs
  )

  test(
    "a command is the machine's main process: its output is the log, and its end the machine's",
    async () => {
      await using here = place()
      const script = 'trap "echo farewell; exit 3" TERM; echo begun; while :; do sleep 1; done'
      await here.detach("job", "sh", "-c", script)
      const follower = here.run("logs", "--follow", "job")
      await until(async () => (await here.run("logs", "job")).stdout.includes("begun"))
      expect(await here.run("stop", "job")).toMatchObject({ status: 0, stdout: expect.stringContaining("PowerOff") })
      const { status, stdout } = await follower
      expect([status, stdout]).toEqual([0, expect.stringMatching(/begun.*farewell/s)])

      const { id } = await here.detach("short", "true")
      await until(async () => (await here.alive()).every((machine) => machine.id !== id))
      expect(readdirSync(here.state)).toEqual([])
    },
    testMs
  )

  test(
    "a machine that does not come up is told by its launcher, and nothing is left",
    async () => {
      await using here = place()
      const wrong = await here.run("run", "--detach", "--backend", backend, "--kernel", "/nowhere/vmlinuz")
      expect([wrong.status, told(wrong)[0]]).toEqual([1, expect.stringContaining("/nowhere/vmlinuz")])
      const missing = await here.run("run", "--detach", ...guest, "--", "no-such-program")
      expect(missing).toMatchObject({ status: 127, stderr: expect.stringContaining("no-such-program") })
      expect(readdirSync(here.state)).toEqual([])
    },
    testMs
  )

  test(
    "a guest without an agent has a log and an end, and the time it was given",
    async () => {
      await using here = place()
      const { name } = await here.detach("plain")
      const refused = await here.run("exec", name, "--", "true")
      expect([refused.status, told(refused)[0]]).toEqual([125, expect.stringContaining("kernel of its own")])
      expect(await here.decoded(StopReport, "stop", "--force", name)).toMatchObject({ exit: { _tag: "Killed" } })
      await here.run("run", "--detach", "--name", "brief", "--timeout", "1s", ...guest)
      await until(async () => (await here.alive()).length === 0)
    },
    testMs
  )

  test(
    "a supervisor that is killed takes the machine with it, whoever follows it is told, and cleanup finds the rest",
    async () => {
      await using here = place()
      const { id } = await here.detach("victim", "sleep", "1000")
      const follower = here.run("logs", "--follow", "victim")
      await until(async () => (await here.run("logs", "victim")).status === 0)
      const [machine] = await here.alive()
      process.kill(machine?.owner ?? 0, "SIGKILL")
      expect(await follower).toMatchObject({ status: 1, stderr: expect.stringContaining("capsa cleanup") })
      await until(() => !isAlive(machine?.owner ?? 0) && processesWith(id).length === 0)
      expect(await here.run("exec", "victim", "--", "true")).toMatchObject({ status: 125 })
      const { leftovers } = await here.decoded(CleanupReport, "cleanup")
      expect(leftovers).toMatchObject([{ machine: { id }, files: expect.arrayContaining(["control"]) }])
      expect(readdirSync(here.state)).toEqual([])
    },
    testMs
  )
})
