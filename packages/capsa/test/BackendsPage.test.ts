import { expect, test } from "bun:test"
import { join } from "node:path"
import { page, updated } from "../scripts/backendsPage.ts"

test("docs/BACKENDS.md says what the code does; bun packages/capsa/scripts/backendsPage.ts writes it", async () => {
  const text = await Bun.file(join(import.meta.dir, "../../..", page)).text()
  expect(text).toContain("| UEFI boot | `boot.firmware` |")
  expect(updated(text)).toBe(text)
})
