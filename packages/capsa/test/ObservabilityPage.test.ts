import { expect, test } from "bun:test"
import { join } from "node:path"
import { page, updated } from "../scripts/observabilityPage.ts"

const root = join(import.meta.dir, "../../..")
const text = await Bun.file(join(root, page)).text()

test("docs/OBSERVABILITY.md says what the code does; bun packages/capsa/scripts/observabilityPage.ts writes it", () => {
  expect(text).toContain("| `capsa.vm.launches` | `capsa_vm_launches_total` |")
  expect(updated(text)).toBe(text)
})

/** Names in the sources, by a pattern whose first group is the name. */
const namesIn = async (folder: string, pattern: RegExp): Promise<ReadonlyArray<string>> => {
  const files = await Array.fromAsync(new Bun.Glob(`${folder}/**/*.ts`).scan({ cwd: root, absolute: true }))
  const texts = await Promise.all(files.map((file) => Bun.file(file).text()))
  return texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name = ""]) => name))
}

test("it has every span that machines and their consoles make", async () => {
  const names = await namesIn("packages/capsa/src", /(?:Effect\.fn|withSpan)\((?:\w+, )?"([A-Z]\w+\.\w+)"/g)
  expect(names).toEqual(expect.arrayContaining(["Vm.stop", "VmPool.spawn"]))
  for (const name of names) expect(text).toContain(`\`${name}\``)
})

test("it has every component that speaks", async () => {
  const names = await namesIn("packages/{capsa,state,telemetry}/src", /component(?:: |\("|", )"?([a-z]+)"/g)
  expect(names).toContain("console")
  for (const name of names) expect(text).toContain(`| \`${name}\` |`)
})
