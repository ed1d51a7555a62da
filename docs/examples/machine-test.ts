/**
 * Tests with a machine of their own each: `bun test ./docs/examples/machine-test.ts`. In a project of yours its name ends in
 * `.test.ts`, and `bun test` finds it.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test"
import * as capsa from "capsa/promise"

setDefaultTimeout(300_000)

let sandbox: capsa.Sandbox

beforeEach(async () => {
  sandbox = await capsa.sandbox({ memory: "256MiB" })
})

afterEach(() => sandbox.close())

test("what a test does to its machine …", async () => {
  await sandbox.exec("rm -r /etc; echo gone >/made")
  expect(await sandbox.files.readText("/made")).toBe("gone\n")
  expect(await sandbox.files.exists("/etc/passwd")).toBe(false)
})

test("… is nothing to the next", async () => {
  expect(await sandbox.files.exists("/made")).toBe(false)
  expect(await sandbox.files.exists("/etc/passwd")).toBe(true)
})
