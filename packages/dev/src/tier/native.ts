/**
 * The C tests: plain, under each sanitizer, and a short run of each fuzzer; how much of the devices all of them reach.
 *
 * @since 0.1.0
 */
import { mkdir } from "node:fs/promises"
import { basename, join } from "node:path"
import { run } from "../Command.ts"
import { cache } from "../Folders.ts"
import { arm64, arm64Missing, type Build, fuzzPrograms, make, ordinary } from "../Native.ts"
import { Slots } from "../Slots.ts"
import { parseCoverage } from "./Coverage.ts"
import { failed, prefix, type Results, sum, withExit } from "./Results.ts"
import { parseTap } from "./Tap.ts"
import type { Tier, Watch } from "./Tier.ts"

const sanitized = (sanitizers: string): Build => ({
  folder: `build-${sanitizers.replace(",", "-")}`,
  variables: [`SANITIZE=${sanitizers}`]
})

const variants: ReadonlyArray<{ readonly name: string; readonly build: Build }> = [
  { name: "plain", build: ordinary },
  { name: "address,undefined", build: sanitized("address,undefined") },
  { name: "thread", build: sanitized("thread") }
]

const fuzzBuild: Build = { folder: "build-fuzz", variables: ["CC=clang"] }
/** For each fuzzer: enough to find what a change broke at once, no search for new faults. */
const fuzzSeconds = 20
const coverageBuild: Build = { folder: "build-coverage", variables: [] }
const timeoutMs = 10 * 60_000

export const native: Tier = {
  name: "native",
  run: async (watch) => {
    const parts: Array<Results> = []
    for (const { name, build } of variants) parts.push(prefix(name, await testVariant(name, build, watch)))
    parts.push(prefix("arm64", await testArm64(watch)))
    parts.push(prefix("fuzz", await fuzz(watch)))
    parts.push(prefix("coverage", await coverage(watch)))
    return sum(parts)
  }
}

/** On an emulated processor, unless the host's own is of this kind, which the other variants are for then. */
const testArm64 = async (watch: Watch): Promise<Results> => {
  if (process.arch === "arm64") return { passed: 0, failures: [], skips: [] }
  const cause = arm64Missing()
  if (cause !== undefined) return { passed: 0, failures: [], skips: [{ test: "all C tests", cause }] }
  return testVariant("arm64", arm64, watch, ["RUN=qemu-aarch64-static -L /usr/aarch64-linux-gnu"])
}

const testVariant = async (
  name: string,
  build: Build,
  watch: Watch,
  variables: ReadonlyArray<string> = []
): Promise<Results> => {
  const broken = await compile(build, ["tests"], watch)
  if (broken !== undefined) return broken
  watch.report(`testing ${name}`)
  const argv = ["make", "-C", "native", "test", `BUILD=${build.folder}`, ...build.variables, ...variables]
  const settings = { env: { UBSAN_OPTIONS: "print_stacktrace=1" }, onLine: watch.log, timeoutMs }
  const finished = await run([...(name === "thread" ? await fixedAddresses() : []), ...argv], settings)
  return withExit("make test", finished.exitCode, parseTap(finished.stdout))
}

/** The failure to compile, if it does fail. */
const compile = async (build: Build, targets: ReadonlyArray<string>, watch: Watch): Promise<Results | undefined> => {
  const made = await make(build, targets, (line) => {
    watch.log(line)
    watch.report(`compiling ${build.folder}`)
  })
  return made.exitCode === 0 ? undefined : failed(`${build.folder} does not compile`)
}

/**
 * Words that run a command without address space randomisation, where that is allowed: ThreadSanitizer cannot find room
 * for its shadow memory on kernels that randomise as much as they can.
 */
const fixedAddresses = async (): Promise<ReadonlyArray<string>> => {
  const words = ["setarch", "--addr-no-randomize"]
  return (await run([...words, "true"])).exitCode === 0 ? words : []
}

const fuzz = async (watch: Watch): Promise<Results> => {
  const targets = fuzzPrograms(fuzzBuild)
  if (targets.length === 0) return failed("there is no fuzzer")
  const broken = await compile(fuzzBuild, targets, watch)
  if (broken !== undefined) return broken
  const slots = new Slots(2)
  let ended = 0
  const runs = targets.map((target) =>
    slots.run(async () => {
      const results = await fuzzOne(target, watch)
      watch.report(`fuzzing ${++ended}/${targets.length}`)
      return results
    })
  )
  return sum(await Promise.all(runs))
}

const fuzzOne = async (target: string, watch: Watch): Promise<Results> => {
  const name = basename(target)
  const folder = join(cache(), "fuzz", name)
  const corpus = join(folder, "corpus")
  await mkdir(corpus, { recursive: true })
  const limits = [`-max_total_time=${fuzzSeconds}`, "-timeout=10", "-rss_limit_mb=2048"]
  const argv = [join("native", target), ...limits, `-artifact_prefix=${folder}/`, "-print_final_stats=1", corpus]
  const finished = await run(argv, { onLine: (line) => watch.log(`${name}: ${line}`), timeoutMs })
  if (finished.exitCode === 0) return { passed: 1, failures: [], skips: [] }
  const input = /Test unit written to (\S+)/.exec(finished.output)?.[1]
  return failed(`${name} ended with ${finished.exitCode}${input === undefined ? "" : `, input kept in ${input}`}`)
}

const coverage = async (watch: Watch): Promise<Results> => {
  const made = await make(coverageBuild, ["coverage"], (line) => {
    watch.log(line)
    watch.report("measuring coverage")
  })
  return withExit("make coverage", made.exitCode, parseCoverage(made.stdout))
}
