import { describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { bunTest } from "../src/tier/BunTest.ts"
import { parseCoverage } from "../src/tier/Coverage.ts"
import { parseJUnit } from "../src/tier/JUnit.ts"
import { makeFolder } from "../src/tier/Logs.ts"
import { failed, prefix, sum, tally, withExit } from "../src/tier/Results.ts"
import { parseTap } from "../src/tier/Tap.ts"
import { folderWith } from "./fixtures/folder.ts"

const onePassed = { passed: 1, failures: [], skips: [] }

describe("results", () => {
  test("add up to the last line", () => {
    const all = sum([onePassed, failed("a", "b"), { passed: 2, failures: [], skips: [{ test: "c", cause: "d" }] }])
    expect(tally(all)).toBe("3 passed, 2 failed, 1 skipped")
    expect(prefix("x", all).failures).toEqual(["x: a", "x: b"])
  })

  test("a bad exit without a failed test is a failure, and so is no test at all", () => {
    expect(withExit("it", 0, onePassed)).toEqual(onePassed)
    expect(tally(withExit("it", 1, onePassed))).toBe("1 passed, 1 failed, 0 skipped")
    expect(tally(withExit("it", 1, failed("a")))).toBe("0 passed, 1 failed, 0 skipped")
    expect(withExit("it", 0, sum([])).failures).toEqual(["it ran no test"])
  })
})

test("coverage counts the files of devices, and fails those with too many lines that nothing reaches", () => {
  const output = `Filename            Functions  Missed Functions  Executed       Lines      Missed Lines     Cover
-------------------------------------------------------------------------------------------------------
board.c                    17                 5    70.59%         172                44    74.42%
virtio/balloon.c           20                 0   100.00%         216                 0   100.00%
virtio/rng.c                5                 0   100.00%          56                 6    89.29%
src/virtio/mmio.c          16                 0   100.00%         231                23    90.04%
TOTAL                     428                15    96.50%        4989               376    92.46%
`
  const { passed, failures } = parseCoverage(output)
  expect(passed).toBe(2)
  expect(failures).toEqual(["virtio/rng.c: 89.29 % of its lines are reached, less than 90 %"])
})

describe("TAP", () => {
  test("of several programs", () => {
    const output = `make: Entering directory
# build/test/one
ok 1 - works
# test/one.c:12: a == b
not ok 2 - breaks
ok 3 - rests # SKIP no such device
1..3
# build-thread/test/two
ok 1 - works
1..1
`
    expect(parseTap(output)).toEqual({
      passed: 2,
      failures: ["one: breaks"],
      skips: [{ test: "one: rests", cause: "no such device" }]
    })
  })

  test("of a program that crashed, before its first test or later", () => {
    expect(parseTap("# build/test/one\nSegmentation fault\n").failures).toEqual(["one: ended before its last test"])
    expect(tally(parseTap("# build/test/one\nok 1 - a\n# build/test/two\nok 1 - b\n1..1\n"))).toBe(
      "2 passed, 1 failed, 0 skipped"
    )
  })

  test("a skip must have a cause", () => {
    expect(parseTap("# build/test/one\nok 1 - a # SKIP\n1..1\n").failures).toEqual(["one: a: skipped without a cause"])
  })
})

describe("bun test", () => {
  const heading = 'import { describe, expect, test } from "bun:test"\n'
  const files = {
    "good.test.ts": `${heading}describe("a < b", () => describe("c", () => { test("works & \\"quotes\\"", () => {}) }))`,
    "bad.test.ts": `${heading}test("fails", () => expect(1).toBe(2)); test("passes", () => {})`,
    "skip.test.ts": `${heading}test.skipIf(true)("one — skipped: no KVM", () => {})
      describe.skipIf(true)("group — skipped: no QEMU", () => { test("two", () => {}) })
      test.skip("three", () => {}); test.todo("four")`,
    "broken.test.ts": `${heading}throw new Error("at load")`,
    "crash.test.ts": `${heading}test("dies", () => { process.kill(process.pid, "SIGKILL") })`
  }
  const watch = { log: () => {}, report: () => {} }
  const limits = { testTimeoutMs: 5000, timeoutMs: 60_000 }

  const results = async (parallel: number | undefined, ...names: ReadonlyArray<keyof typeof files>) => {
    await using folder = await folderWith(files)
    const options = { ...limits, files: names, cwd: folder.path, ...(parallel === undefined ? {} : { parallel }) }
    return await bunTest(options, watch)
  }

  test("passes, failures and skips are counted and named", async () => {
    const { passed, failures, skips } = await results(undefined, "good.test.ts", "bad.test.ts", "skip.test.ts")
    expect(passed).toBe(2)
    expect(failures).toEqual([
      "bad.test.ts: fails",
      'skip.test.ts: three: skipped, and no title says "skipped: <cause>"',
      'skip.test.ts: four: skipped, and no title says "skipped: <cause>"'
    ])
    expect(skips).toEqual([
      { test: "skip.test.ts: one", cause: "no KVM" },
      { test: "skip.test.ts: group > two", cause: "no QEMU" }
    ])
  })

  test("a file that doesn't load is a failure", async () => {
    const { failures, passed } = await results(undefined, "good.test.ts", "broken.test.ts")
    expect(failures).toEqual(["broken.test.ts: no test of it was reported"])
    expect(passed).toBe(1)
  })

  test("a process that dies is a failure, alone or beside others", async () => {
    expect((await results(undefined, "good.test.ts", "crash.test.ts")).failures).toContain(
      "crash.test.ts: no test of it was reported"
    )
    expect((await results(2, "good.test.ts", "crash.test.ts")).failures.join()).toContain("crash.test.ts")
  })

  test("no file at all is a failure", async () => {
    expect((await results(undefined)).failures).toEqual(["there is no such test file"])
  })

  test("names come back as they were written", () => {
    const xml = '<testcase name="a &lt;b&gt; &amp;amp; &#39;c&#x27; &quot;" classname="" file="f" />'
    expect(parseJUnit(xml.replace(" />", "><failure /></testcase>"), ["f"]).failures).toEqual(["f: a <b> &amp; 'c' \""])
  })
})

test("logs of the newest runs are kept", async () => {
  await using folder = await folderWith()
  for (let day = 1; day <= 12; day++) await makeFolder(folder.path, new Date(Date.UTC(2025, 0, day)))
  const kept = (await readdir(folder.path)).sort()
  expect(kept).toHaveLength(10)
  expect(kept[0]).toStartWith("test-20250103")
})
