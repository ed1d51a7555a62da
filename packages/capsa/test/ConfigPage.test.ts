import { expect, test } from "bun:test"
import { join } from "node:path"
import { page, updated } from "../scripts/configPage.ts"

test("docs/CONFIG.md says what the code does; bun packages/capsa/scripts/configPage.ts writes it", async () => {
  const text = await Bun.file(join(import.meta.dir, "../../..", page)).text()
  expect(text).toContain("| `limits.io.readPerSecond` |")
  expect(updated(text)).toBe(text)
})
