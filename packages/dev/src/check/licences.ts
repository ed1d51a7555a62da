/**
 * Everything that comes from npm may be used and passed on.
 *
 * @since 0.1.0
 */
import { join } from "node:path"
import { parseLock } from "../LockFile.ts"
import type { Check } from "./Check.ts"

/** SPDX names of the licences that a dependency may have. */
const allowed = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "ISC",
  "MIT",
  "Unlicense"
])

/** Whether an SPDX expression lets us choose licences that are all allowed. */
export const isAllowed = (expression: string): boolean =>
  expression
    .replace(/^\((.*)\)$/, "$1")
    .split(/ OR /)
    .some((choice) => choice.split(/ AND /).every((licence) => allowed.has(licence.trim())))

export const licences: Check = {
  name: "licences",
  run: async (tree) => {
    const installed = await readInstalled(tree.root)
    return parseLock(await tree.read("bun.lock")).flatMap(({ id, isPlatformSpecific }) => {
      const where = `bun.lock: ${id}`
      const licence = installed.get(id)
      if (licence !== undefined) return isAllowed(licence) ? [] : [{ where, what: `licence ${licence} is not allowed` }]
      // Another platform's build of a package that is here; its own platform's check reads it.
      if (isPlatformSpecific) return []
      return [{ where, what: "not in node_modules, so its licence is unknown: run `bun install --frozen-lockfile`" }]
    })
  }
}

/** Licences of what is in node_modules, by `name@version`. */
const readInstalled = async (root: string): Promise<ReadonlyMap<string, string>> => {
  const folder = join(root, "node_modules/.bun")
  const found = new Map<string, string>()
  for (const pattern of ["*/node_modules/*/package.json", "*/node_modules/@*/*/package.json"]) {
    for await (const file of new Bun.Glob(pattern).scan({ cwd: folder, dot: true })) {
      const { name, version, license } = await Bun.file(join(folder, file)).json()
      found.set(`${name}@${version}`, typeof license === "string" ? license : "unstated")
    }
  }
  return found
}
