import { expect, test } from "bun:test"
import { join } from "node:path"
import { withLock } from "../src/Lock.ts"
import { folderWith } from "./fixtures/folder.ts"

test("one at a time, and the second is told that it waits", async () => {
  await using folder = await folderWith()
  const file = join(folder.path, "new/lock")
  const happened: Array<string> = []
  const inside = Promise.withResolvers<void>()
  const waits = Promise.withResolvers<void>()
  const first = withLock(
    file,
    () => {},
    async () => {
      inside.resolve()
      await waits.promise
      happened.push("first")
    }
  )
  await inside.promise
  await withLock(file, waits.resolve, async () => void happened.push("second"))
  await first
  expect(happened).toEqual(["first", "second"])
})

test("failing work leaves the lock free", async () => {
  await using folder = await folderWith()
  const file = join(folder.path, "lock")
  const failing = withLock(
    file,
    () => {},
    () => Promise.reject(new Error("no"))
  )
  expect(failing).rejects.toThrow("no")
  await failing.catch(() => {})
  expect(
    await withLock(
      file,
      () => {},
      async () => "free"
    )
  ).toBe("free")
})

test("a killed owner's lock is free, though a child of it lives on", async () => {
  await using folder = await folderWith()
  const file = join(folder.path, "lock")
  const module = JSON.stringify(import.meta.resolve("../src/Lock.ts"))
  const program = `const { withLock } = await import(${module})
    await withLock(${JSON.stringify(file)}, () => {}, async () => {
      const child = Bun.spawn(["sleep", "60"], { stdio: ["ignore", "ignore", "ignore"] })
      console.log(child.pid)
      await new Promise(() => setInterval(() => {}, 1000))
    })`
  const owner = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" })
  const { value } = await owner.stdout.getReader().read()
  const child = Number(new TextDecoder().decode(value))
  try {
    const next = withLock(
      file,
      () => owner.kill("SIGKILL"),
      async () => process.kill(child, 0)
    )
    expect(await next).toBe(true)
  } finally {
    process.kill(child)
  }
})
