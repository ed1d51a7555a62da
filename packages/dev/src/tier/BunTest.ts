/**
 * Runs test files with `bun test`, here or in the lab.
 *
 * @since 0.1.0
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "../Command.ts"
import { root } from "../Folders.ts"
import { parseJUnit } from "./JUnit.ts"
import { failed, type Results, withExit } from "./Results.ts"
import type { Watch } from "./Tier.ts"

/** A run of test files. */
export interface BunTestOptions {
  readonly files: ReadonlyArray<string>
  /** What `files` are relative to; the root of the checkout if absent. Not for the lab. */
  readonly cwd?: string
  readonly env?: Record<string, string>
  /** For a test that doesn't set its own. */
  readonly testTimeoutMs: number
  /** For all files together. */
  readonly timeoutMs: number
  /** Whether they have a network of their own, if this process may make one. Not for the lab, which always has. */
  readonly ownNetwork?: boolean
  /** How many files run at a time, each in a process of its own; all in one process if absent. */
  readonly parallel?: number
}

/** Paths from the root of all test files. */
export const testFiles = (): ReadonlyArray<string> =>
  ["packages", "benchmarks", "docs"]
    .flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.test.ts`).scanSync(root)])
    .filter((file) => !file.includes("node_modules/"))
    .sort()

/** Runs test files on this machine. */
export const bunTest = async (options: BunTestOptions, watch: Watch): Promise<Results> => {
  if (options.files.length === 0) return failed("there is no such test file")
  const folder = await mkdtemp(join(tmpdir(), "capsa-test-"))
  try {
    const report = join(folder, "junit.xml")
    const parallel = options.parallel === undefined ? [] : [`--parallel=${options.parallel}`]
    const isolates = options.ownNetwork === true && process.getuid?.() === 0
    const around = isolates ? inOwnNetwork : []
    const argv = [...around, process.execPath, "test", ...parallel, ...argumentsFor(options, report)]
    const { cwd = root, timeoutMs } = options
    const env = { ...options.env, ...(isolates && { CAPSA_OWN_NETWORK: "1" }) }
    const finished = await run(argv, { cwd, env, timeoutMs, onLine: counting(watch) })
    const xml = await Bun.file(report)
      .text()
      .catch(() => "")
    return withExit("bun test", finished.exitCode, parseJUnit(xml, options.files))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Words that run a command in a network namespace with nothing but `lo`, and with mounts that nobody else sees. */
const inOwnNetwork = [
  ...["unshare", "--net", "--mount", "sh", "-c"],
  ...['mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"', "sh"]
]

/** Room for a guest of 5 GiB. */
const labMemoryMib = 8192

/** Precedes the report on the lab's stdout. */
const reportMark = "----- capsa test report -----"

// The lab shows the checkout read-only and shares no other folder for writing, so the report comes out by stdout.
const labScript = `bun test "$@"; status=$?; echo; echo "${reportMark}"; cat /tmp/junit.xml; exit $status`

/** Runs test files in the lab, all in one machine, which may be of another kind. */
export const bunTestInLab = async (
  options: BunTestOptions,
  watch: Watch,
  { memoryMib = labMemoryMib, words = [] }: { readonly memoryMib?: number; readonly words?: ReadonlyArray<string> } = {}
): Promise<Results> => {
  if (options.files.length === 0) return failed("there is no such test file")
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`)
  const command = ["env", ...env, "sh", "-c", labScript, "sh", ...argumentsFor(options, "/tmp/junit.xml")]
  const size = ["--memory", String(memoryMib)]
  const lab = [process.execPath, "packages/lab/src/main.ts", ...words, ...size, "--", ...command]
  const count = counting(watch)
  let isReport = false
  const onLine = (line: string) => {
    isReport ||= line === reportMark
    if (!isReport) count(line)
  }
  const finished = await run(lab, { timeoutMs: options.timeoutMs, onLine })
  const xml = finished.stdout.split(`${reportMark}\n`)[1] ?? ""
  return withExit("bun test in the lab", finished.exitCode, parseJUnit(xml, options.files))
}

const argumentsFor = (options: BunTestOptions, report: string): ReadonlyArray<string> => [
  `--timeout=${options.testTimeoutMs}`,
  "--reporter=junit",
  `--reporter-outfile=${report}`,
  ...options.files.map((file) => `./${file}`)
]

/** Logs each line, and reports how many tests have ended. */
const counting = (watch: Watch) => {
  let count = 0
  return (line: string) => {
    watch.log(line)
    if (/^\((pass|fail|skip|todo)\)/.test(line)) watch.report(`${++count} tests`)
  }
}
