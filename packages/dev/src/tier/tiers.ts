/**
 * The tiers, from the quickest to the one nearest to what users have.
 *
 * @since 0.1.0
 */
import { basename } from "node:path"
import { checks, format, runChecks } from "../Checks.ts"
import { root } from "../Folders.ts"
import { Progress } from "../Progress.ts"
import { Slots } from "../Slots.ts"
import { open } from "../Tree.ts"
import { bunTest, bunTestInLab, testFiles } from "./BunTest.ts"
import { labArm64 } from "./labArm64.ts"
import { native } from "./native.ts"
import { failed, prefix, type Results, sum } from "./Results.ts"
import type { Tier, Watch } from "./Tier.ts"

const minute = 60_000

const isMachineTest = (file: string): boolean => file.endsWith(".machine.test.ts")
/** They change the network of the host that they run on. */
const isNetworkTest = (file: string): boolean => /\/(conformance|network|switch)\.machine\.test\.ts$/.test(file)
const isQemuTest = (file: string): boolean => file.endsWith(".qemu.test.ts")
const isLabTest = (file: string): boolean => file.endsWith(".lab.test.ts")
const isArm64Test = (file: string): boolean => file.endsWith(".arm64.test.ts")
const isKvmTest = (file: string): boolean => file.endsWith(".kvm.test.ts")

/** Everything of `bun run check`; each check is a test. */
const check: Tier = {
  name: "check",
  run: async ({ log, report }) => {
    const lines = new Progress({ write: (text) => log(String(text).trimEnd()) })
    const results = await runChecks(await open(root), lines)
    report(`${checks.length} checks`)
    return sum(
      results.map(({ name, findings }): Results => {
        if (findings.length === 0) return { passed: 1, failures: [], skips: [] }
        log(format(findings).trimEnd())
        return failed(`${name}: ${findings.length} found`)
      })
    )
  }
}

/** Tests that need neither a guest nor KVM. */
const unit: Tier = {
  name: "unit",
  run: (watch) => {
    const others = [isMachineTest, isQemuTest, isLabTest, isKvmTest, isArm64Test]
    const files = testFiles().filter((file) => !others.some((is) => is(file)))
    return bunTest({ files, testTimeoutMs: 30_000, timeoutMs: 15 * minute, parallel: 2 }, watch)
  }
}

/** Tests that boot guests, on the backend that works everywhere. */
const machines: Tier = {
  name: "machines",
  run: async (watch) => {
    const options = { env: { CAPSA_TEST_BACKEND: "qemu" }, testTimeoutMs: 2 * minute, timeoutMs: 40 * minute }
    const files = testFiles().filter((file) => isMachineTest(file) || isQemuTest(file))
    const [others, networks] = [files.filter((file) => !isNetworkTest(file)), files.filter(isNetworkTest)]
    return sum([
      await bunTest({ files: others, ...options, parallel: 2 }, watch),
      await bunTest({ files: networks, ownNetwork: true, ...options }, watch)
    ])
  }
}

/** The lab's machines have one processor each, so as many run at a time as the host has at least. */
const labsAtATime = 2

/**
 * The same tests on KVM in the lab, where Bun is 10 to 50 times slower, with those that are about KVM alone, each file in
 * a machine of its own; then the tests of and with the lab itself.
 */
const lab: Tier = {
  name: "lab",
  run: async (watch) => {
    const env = { CAPSA_TEST_BACKEND: "kvm" }
    const inside = testFiles().filter((file) => isMachineTest(file) || isKvmTest(file))
    const outside = testFiles().filter(isLabTest)
    const limits = { testTimeoutMs: 20 * minute, timeoutMs: 45 * minute }
    const slots = new Slots(labsAtATime)
    const runs = inside.map((file) =>
      slots.run(() => bunTestInLab({ files: [file], env, ...limits }, watchOf(basename(file), watch)))
    )
    return sum([
      prefix("inside", sum(await Promise.all(runs))),
      prefix("outside", await bunTest({ files: outside, ...limits }, watch))
    ])
  }
}

/** One of several that run at the same time. */
const watchOf = (name: string, { log, report }: Watch): Watch => ({
  log: (line) => log(`${name}: ${line}`),
  report: (text) => report(`${name}: ${text}`)
})

/** All tiers, in the order in which they run. */
export const tiers: ReadonlyArray<Tier> = [check, unit, native, machines, lab, labArm64]
