/**
 * Imports go down the floors of docs/ARCHITECTURE.md, through the doors that a package opens, and never in a circle.
 *
 * @since 0.1.0
 */
import { dirname, join, normalize } from "node:path"
import type { Tree } from "../Tree.ts"
import type { Check, Finding } from "./Check.ts"

/** Which packages of ours the source of a package may import. */
export const floors: Readonly<Record<string, ReadonlyArray<string>>> = {
  "@capsa/core": [],
  "@capsa/native": ["@capsa/core"],
  "@capsa/state": ["@capsa/core", "@capsa/native"],
  "@capsa/kvm": ["@capsa/core", "@capsa/native", "@capsa/state"],
  "@capsa/qemu": ["@capsa/core", "@capsa/native", "@capsa/state"],
  "@capsa/guest": ["@capsa/core"],
  capsa: ["@capsa/core", "@capsa/guest", "@capsa/kvm", "@capsa/qemu"],
  "@capsa/telemetry": ["@capsa/core"],
  "@capsa/testing": ["@capsa/core", "capsa"],
  "@capsa/cli": ["@capsa/core", "@capsa/guest", "@capsa/state", "capsa"],
  "@capsa/lab": ["@capsa/guest", "@capsa/native"],
  "@capsa/dev": [],
  "@capsa/benchmarks": [
    "@capsa/core",
    "@capsa/guest",
    "@capsa/kvm",
    "@capsa/lab",
    "@capsa/native",
    "@capsa/qemu",
    "@capsa/testing",
    "capsa"
  ],
  "@capsa/examples": ["@capsa/cli", "@capsa/guest", "@capsa/telemetry", "capsa"]
}

/** An import statement, or a call of `import()`, with a literal path. */
interface Import {
  readonly path: string
  readonly line: number
}

const statement =
  /^(?:import|export)\s[^;'"`]*?\bfrom\s*["']([^"']+)["']|^import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm

/** The imports of a TypeScript text, those of types included. */
export const importsIn = (text: string): ReadonlyArray<Import> =>
  [...text.matchAll(statement)].map((match) => ({
    path: match[1] ?? match[2] ?? match[3] ?? "",
    line: text.slice(0, match.index + match[0].length).split("\n").length
  }))

/** A folder with a package.json. */
interface Package {
  readonly folder: string
  readonly name: string
}

/** A package of ours that `path` names, and what in it. */
const ours = (path: string): { readonly name: string; readonly inside: string } | undefined => {
  const match = /^(capsa|@capsa\/[^/]+)(?:\/(.*))?$/.exec(path)
  return match?.[1] === undefined ? undefined : { name: match[1], inside: match[2] ?? "" }
}

/** What is wrong with one import, if anything. */
export const problemWith = (owner: Package, file: string, path: string): string | undefined => {
  if (path === "bun:ffi" && owner.name !== "@capsa/native") return "only packages/native may use bun:ffi"
  if (/^(effect|@effect\/[^/]+)$/.test(path) && owner.name !== "@capsa/examples") {
    return `${path} loads all of its modules at start-up: import the one that is wanted, like ${path}/…`
  }
  if (path.startsWith(".")) {
    const isInside = normalize(join(dirname(file), path)).startsWith(`${owner.folder}/`)
    // What is measured is often what a package keeps to itself.
    return isInside || owner.name === "@capsa/benchmarks"
      ? undefined
      : `${path} reaches into another package: import it by name`
  }
  const target = ours(path)
  if (target === undefined || target.name === owner.name) return undefined
  if (/^(internal|src)(\/|$)/.test(target.inside)) return `${path} is private to its package`
  // A test may use whatever its package.json lists for development: a test of a lower floor needs the upper ones.
  if (/\/test\//.test(file) || floors[owner.name]?.includes(target.name)) return undefined
  return `${owner.name} may not import ${target.name}: see the floors in docs/ARCHITECTURE.md`
}

/**
 * A circle among files that import each other's values, if there is one, first file repeated at its end. `graph` gives
 * each file's imports.
 */
export const circleIn = (graph: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlyArray<string> | undefined => {
  const done = new Set<string>()
  const visit = (file: string, trail: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    const seenAt = trail.indexOf(file)
    if (seenAt >= 0) return [...trail.slice(seenAt), file]
    if (done.has(file)) return undefined
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...trail, file])
      if (circle !== undefined) return circle
    }
    done.add(file)
    return undefined
  }
  for (const file of graph.keys()) {
    const circle = visit(file, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

export const imports: Check = {
  name: "imports",
  run: async (tree) => {
    const packages = await packagesIn(tree)
    const findings: Array<Finding> = packages
      .filter(({ name }) => floors[name] === undefined)
      .map(({ folder, name }) => ({
        where: `${folder}/package.json`,
        what: `${name} has no floor in the imports check`
      }))
    const graph = new Map<string, ReadonlyArray<string>>()
    const transpiler = new Bun.Transpiler({ loader: "ts" })
    for (const file of tree.files.filter((name) => name.endsWith(".ts"))) {
      const owner = packages.find(({ folder }) => file.startsWith(`${folder}/`))
      if (owner === undefined) {
        findings.push({ where: file, what: "belongs to no package" })
        continue
      }
      const text = await tree.read(file)
      for (const { path, line } of importsIn(text)) {
        const what = problemWith(owner, file, path)
        if (what !== undefined) findings.push({ where: `${file}:${line}`, what })
      }
      const values = transpiler.scanImports(text).filter(({ path }) => path.startsWith("."))
      graph.set(
        file,
        values.map(({ path }) => normalize(join(dirname(file), path)))
      )
    }
    const circle = circleIn(graph)
    if (circle !== undefined)
      findings.push({ where: circle[0] ?? "", what: `imports in a circle: ${circle.join(" → ")}` })
    return findings
  }
}

const packagesIn = async (tree: Tree): Promise<ReadonlyArray<Package>> => {
  const manifests = tree.files.filter((file) => file.endsWith("/package.json"))
  return Promise.all(
    manifests.map(async (file) => ({ folder: dirname(file), name: String(JSON.parse(await tree.read(file)).name) }))
  )
}
