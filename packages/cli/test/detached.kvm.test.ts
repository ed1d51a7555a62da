/** A detached machine on KVM, which runs inside of its supervisor; what is the same on all backends is tested on QEMU. */
import { expect, test } from "bun:test"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CleanupReport, MachineReport, PsReport } from "@capsa/cli"
import * as Schema from "effect/Schema"
import { capsa } from "./capsa.ts"

/** The lab is slow. */
const testMs = 900_000

test(
  "a machine on KVM is reached from another process, and gone with its supervisor",
  async () => {
    const state = mkdtempSync(join(tmpdir(), "capsa-"))
    const run = (...words: ReadonlyArray<string>) => capsa(words, "", { CAPSA_STATE_DIR: state })
    const told = async <A, I>(schema: Schema.Schema<A, I>, ...words: ReadonlyArray<string>) =>
      Schema.decodeUnknownSync(Schema.parseJson(schema))((await run(...words, "--json")).stdout)
    const { backend, id } = await told(MachineReport, "run", "--detach", "--name", "web", "--backend", "kvm")
    expect<string>(backend.name).toBe("kvm")
    expect(await run("exec", "web", "--", "sh", "-c", "echo out; exit 7")).toMatchObject({ status: 7, stdout: "out\n" })
    const { machines } = await told(PsReport, "ps")
    expect(machines).toMatchObject([{ id, name: "web" }])
    process.kill(machines[0]?.owner ?? 0, "SIGKILL")
    expect(await run("exec", "web", "--", "true")).toMatchObject({ status: 125 })
    expect((await told(CleanupReport, "cleanup")).leftovers).toMatchObject([{ machine: { id } }])
    expect(readdirSync(state)).toEqual([])
    rmSync(state, { recursive: true })
  },
  testMs
)
