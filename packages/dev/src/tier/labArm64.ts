/**
 * Tests on KVM of arm64, in a lab that QEMU makes of an emulated Arm processor.
 *
 * @since 0.1.0
 */
import { basename } from "node:path"
import { buildImages } from "../GuestImages.ts"
import { arm64, arm64Missing, make, ordinary } from "../Native.ts"
import { Slots } from "../Slots.ts"
import { bunTestInLab, testFiles } from "./BunTest.ts"
import { failed, prefix, type Results, sum } from "./Results.ts"
import type { Tier, Watch } from "./Tier.ts"

const minute = 60_000

/** What every guest on every backend must do: takes long there, and runs when asked for. */
const machineTests = ["boot.machine", "console.machine", "disks.machine", "lifecycle.machine", "failures.kvm"]
const isFull = process.env["CAPSA_TEST_ARM64"] === "full"

/** A lab, and what is tested in it. */
interface Lab {
  readonly name: string
  readonly words: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
}

const labs = (): ReadonlyArray<Lab> => {
  const files = testFiles()
  const chosen = isFull ? machineTests.map((name) => `packages/capsa/test/${name}.test.ts`) : []
  const ofArm64 = files.filter((file) => file.endsWith(".arm64.test.ts"))
  return [
    ...[...chosen, ...ofArm64].map((file) => ({ name: basename(file), words: [], files: [file] })),
    { name: "GICv2", words: ["--gic", "2"], files: ofArm64 },
    { name: "without VHE", words: ["--processor", "cortex-a72"], files: ofArm64 }
  ]
}

const labsAtATime = 2

export const labArm64: Tier = {
  name: "lab-arm64",
  run: async (watch) => {
    const cause = missing()
    if (cause !== undefined) return { passed: 0, failures: [], skips: [{ test: "all tests", cause }] }
    const broken = await prepare(watch)
    if (broken !== undefined) return broken
    const slots = new Slots(labsAtATime)
    return sum(await Promise.all(labs().map((lab) => slots.run(() => testIn(lab, watch)))))
  }
}

/** What this host lacks for such a lab, if anything. */
const missing = (): string | undefined => {
  if (Bun.which("qemu-system-aarch64") === null) return "qemu-system-aarch64 is not installed"
  return process.arch === "arm64" ? undefined : arm64Missing()
}

/** The library and the guests for arm64; what went wrong, if anything. */
const prepare = async (watch: Watch): Promise<Results | undefined> => {
  const made = await make(process.arch === "arm64" ? ordinary : arm64, ["all"], watch.report)
  if (made.exitCode !== 0) {
    watch.log(made.output)
    return failed("native/ does not compile for arm64")
  }
  const built = await buildImages("tests", watch.report, "arm64")
  if (built.exitCode === 0) return undefined
  watch.log(built.output)
  return failed("the guest images for arm64 could not be built")
}

const testIn = async ({ files, name, words }: Lab, watch: Watch): Promise<Results> => {
  const limits = { testTimeoutMs: 20 * minute, timeoutMs: 45 * minute }
  const env = { CAPSA_TEST_BACKEND: "kvm" }
  const inLab: Watch = {
    log: (line) => watch.log(`${name}: ${line}`),
    report: (text) => watch.report(`${name}: ${text}`)
  }
  const lab = { memoryMib: labMemoryMib, words: ["--arch", "aarch64", ...words] }
  return prefix(name, await bunTestInLab({ files, env, ...limits }, inLab, lab))
}

/** Room for a guest of 5 GiB, of which it touches little. */
const labMemoryMib = 8192
