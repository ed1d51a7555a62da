/**
 * Each dependency is pinned, and docs/DEPENDENCIES.md says why it is there.
 *
 * @since 0.1.0
 */
import { type SystemPackage, systemPackages } from "../SystemPackages.ts"
import type { Check, Finding } from "./Check.ts"

const document = "docs/DEPENDENCIES.md"
const exact = /^\d+\.\d+\.\d+(-[\w.]+)?$/

/** The part of a package.json that names dependencies. */
export interface Manifest {
  readonly [group: string]: unknown
}

const groups = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"]

const entriesOf = (value: unknown): ReadonlyArray<readonly [string, unknown]> =>
  typeof value === "object" && value !== null ? Object.entries(value) : []

/** All that a manifest asks for, the workspace's catalog included. */
const requested = (manifest: Manifest): ReadonlyArray<readonly [string, unknown]> => {
  const workspaces = new Map(entriesOf(manifest["workspaces"]))
  return [...groups.flatMap((group) => entriesOf(manifest[group])), ...entriesOf(workspaces.get("catalog"))]
}

/** What is wrong with a manifest's dependencies, given what the documentation explains. */
export const problemsIn = (manifest: Manifest, explained: ReadonlySet<string>): ReadonlyArray<string> =>
  requested(manifest).flatMap(([name, version]) => {
    if (typeof version === "string" && version.startsWith("workspace:")) return []
    const isPinned = version === "catalog:" || (typeof version === "string" && exact.test(version))
    return [
      ...(isPinned ? [] : [`${name} ${version}: not an exact version`]),
      ...(explained.has(name) ? [] : [`${name}: no row in ${document} says why it is there`])
    ]
  })

/** The names in the first column of a Markdown text's tables, where they are written as code. */
export const explainedIn = (markdown: string): ReadonlySet<string> =>
  new Set(
    markdown
      .split("\n")
      .flatMap((line) => /^\|([^|]*)\|/.exec(line)?.[1] ?? [])
      .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""))
  )

/** The Debian names of system packages that the documentation doesn't explain. */
export const unexplainedSystemPackages = (
  explained: ReadonlySet<string>,
  packages: ReadonlyArray<SystemPackage> = systemPackages
): ReadonlyArray<string> =>
  packages.flatMap((_) => _.names.apt?.split(" ") ?? []).filter((name) => !explained.has(name))

export const dependencies: Check = {
  name: "dependencies",
  run: async (tree) => {
    const explained = explainedIn(await tree.read(document))
    const findings: Array<Finding> = unexplainedSystemPackages(explained).map((name) => ({
      where: document,
      what: `no row says why set-up installs ${name}`
    }))
    for (const where of tree.files.filter((file) => /(^|\/)package\.json$/.test(file))) {
      const manifest: Manifest = JSON.parse(await tree.read(where))
      findings.push(...problemsIn(manifest, explained).map((what) => ({ where, what })))
    }
    return findings
  }
}
