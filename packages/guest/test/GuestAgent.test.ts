import { expect, test } from "bun:test"
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Apt from "@capsa/guest/Apt"
import * as Architecture from "@capsa/guest/Architecture"
import * as GuestAgent from "@capsa/guest/GuestAgent"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"

const run = <A, E>(effect: Effect.Effect<A, E, BunContext.BunContext>) =>
  Effect.runPromise(Effect.provide(effect, BunContext.layer))
const sources = join(import.meta.dir, "../../../native/guest")

test("it is a small static program that says which version it is", async () => {
  const { program } = await run(GuestAgent.agent)
  expect(statSync(program).size).toBeLessThan(200 * 1024)
  expect(readFileSync(program).includes("/lib64/ld-")).toBe(false)
  const { exitCode, stdout } = Bun.spawnSync([program, "--version"])
  expect([exitCode, stdout.toString()]).toEqual([0, "0.1.0\n"])
  expect(Bun.spawnSync([program]).exitCode).toBe(2)
})

test("the same sources give the same bytes, wherever they lie", async () => {
  const folder = mkdtempSync(join(tmpdir(), "capsa-agent."))
  try {
    const { program } = await run(GuestAgent.agent)
    cpSync(sources, join(folder, "elsewhere"), { recursive: true })
    await run(Effect.flatMap(Apt.resolve("musl-dev"), (musl) => Apt.unpack([musl], folder)))
    const made = Bun.spawnSync(["make", "-C", join(folder, "elsewhere"), `BUILD=${folder}/out`, `MUSL=${folder}`])
    expect(made.exitCode).toBe(0)
    expect(Buffer.compare(readFileSync(join(folder, "out/capsa-init")), readFileSync(program))).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 120_000)

const compilerForArm64 = "aarch64-linux-gnu-gcc"
const noArm64 = Bun.which(compilerForArm64) === null ? ` — skipped: ${compilerForArm64} not installed` : ""

test.skipIf(noArm64 !== "")(
  `it is made for another processor, and known without being run${noArm64}`,
  async () => {
    const { program, provenance, version } = await run(
      Effect.provideService(GuestAgent.agent, Architecture.Target, "arm64")
    )
    const header = readFileSync(program)
    const forAarch64 = 183
    expect([header.subarray(1, 4).toString(), header.readUInt16LE(18)]).toEqual(["ELF", forAarch64])
    expect(header.includes("/lib/ld-")).toBe(false)
    expect(version).toBe("0.1.0")
    expect(provenance.compiler).toContain("aarch64")
  },
  120_000
)
