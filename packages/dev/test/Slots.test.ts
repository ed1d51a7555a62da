import { expect, test } from "bun:test"
import { Slots } from "../src/Slots.ts"

test("runs no more than fit, all of them, in order", async () => {
  const slots = new Slots(2)
  const started: Array<number> = []
  let running = 0
  let most = 0
  const work = [0, 1, 2, 3, 4].map((index) =>
    slots.run(async () => {
      started.push(index)
      most = Math.max(most, ++running)
      await Promise.resolve()
      running--
      return index
    })
  )
  expect(await Promise.all(work)).toEqual([0, 1, 2, 3, 4])
  expect(started).toEqual([0, 1, 2, 3, 4])
  expect(most).toBe(2)
})

test("failing work gives its slot back", async () => {
  const slots = new Slots(1)
  const failing = slots.run(() => Promise.reject(new Error("no")))
  expect(failing).rejects.toThrow("no")
  await failing.catch(() => {})
  expect(await slots.run(async () => "next")).toBe("next")
})
