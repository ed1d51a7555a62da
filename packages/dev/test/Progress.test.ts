import { expect, test } from "bun:test"
import { Progress, seconds } from "../src/Progress.ts"

const setUp = (isTTY: boolean, columns = 80) => {
  const clock = { now: 0 }
  const written: Array<string> = []
  const progress = new Progress({ isTTY, columns, write: (text) => written.push(text) }, () => clock.now)
  return { clock, progress, written }
}

test("a quick step leaves no line in a log", async () => {
  const { progress, written } = setUp(false)
  expect(await progress.step("quick", async () => 1)).toBe(1)
  expect(written).toEqual([])
})

test("a long step shows in a log that it began, lives and ended", async () => {
  const { clock, progress, written } = setUp(false)
  await progress.step("long", async (report) => {
    clock.now = 1000
    progress.tick()
    report("half")
    clock.now = 2000
    progress.tick()
    clock.now = 21_000
    progress.tick()
    clock.now = 65_000
  })
  expect(written).toEqual(["long 1.0 s …\n", "long 21.0 s half …\n", "long: done in 1 min 5 s\n"])
})

test("a failed step says so and passes on its error", async () => {
  const { clock, progress, written } = setUp(false)
  const step = progress.step("bad", async () => {
    clock.now = 1500
    throw new Error("no")
  })
  expect(step).rejects.toThrow("no")
  await step.catch(() => {})
  expect(written).toEqual(["bad: failed in 1.5 s\n"])
})

test("a terminal has one line with all that runs, no wider than it is, and cleared at the end", async () => {
  const { progress, written } = setUp(true, 30)
  await Promise.all([
    progress.step("one", async (report) => report("a".repeat(50))),
    progress.step("two", async () => progress.tick())
  ])
  const live = written[0] ?? ""
  expect(live.startsWith("\r\x1b[K⠋ one 0.0 s aaa")).toBe(true)
  expect(Bun.stringWidth(live)).toBeLessThan(30)
  expect(written.at(-1)).toBe("\r\x1b[K")
})

test("durations read well", () => {
  expect([50, 1234, 59_940, 59_990, 60_000, 119_900].map(seconds)).toEqual([
    "0.1 s",
    "1.2 s",
    "59.9 s",
    "1 min 0 s",
    "1 min 0 s",
    "2 min 0 s"
  ])
})
