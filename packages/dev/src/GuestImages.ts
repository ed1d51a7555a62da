/**
 * The guest images that set-up makes sure of.
 *
 * @since 0.1.0
 */
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Finished, run } from "./Command.ts"
import { cache, root } from "./Folders.ts"
import type { Report } from "./Progress.ts"
import type { Purpose } from "./SystemPackages.ts"

/** What to ask of the images' builder. */
const selections: Record<Purpose, string> = { demo: "debian", tests: "all" }

/** What a build was made from, and the files that it gave. */
interface Built {
  readonly inputs: string
  readonly files: ReadonlyArray<string>
}

/**
 * Builds the images for a purpose. The builder itself knows what is built already, but takes its time to find out what
 * the distribution offers; so nothing is asked of it while its source is the same and the files are there.
 */
export const buildImages = async (purpose: Purpose, report: Report): Promise<Finished | undefined> => {
  const selection = selections[purpose]
  const record = join(cache(), `guest-images-${selection}.json`)
  const inputs = await hashOf("{bun.lock,packages/guest/**/*}")
  if (isCurrent(await readRecord(record), inputs)) return undefined
  const builder = [process.execPath, "packages/guest/src/main.ts", "build", selection, "--json"]
  const finished = await run(builder, { onLine: report })
  if (finished.exitCode === 0) {
    await mkdir(dirname(record), { recursive: true })
    await Bun.write(record, JSON.stringify({ inputs, files: pathsIn(JSON.parse(finished.stdout)) } satisfies Built))
  }
  return finished
}

/** Whether a build still stands: made from the same, and all there. */
export const isCurrent = (built: Built | undefined, inputs: string): boolean =>
  built !== undefined && built.inputs === inputs && built.files.length > 0 && built.files.every(existsSync)

/** The absolute paths in the builder's answer. */
export const pathsIn = (answer: unknown): ReadonlyArray<string> => {
  if (typeof answer === "string") return answer.startsWith("/") ? [answer] : []
  return typeof answer === "object" && answer !== null ? Object.values(answer).flatMap(pathsIn) : []
}

const readRecord = async (file: string): Promise<Built | undefined> => {
  const record: Built | undefined = await Bun.file(file)
    .json()
    .catch(() => undefined)
  return record
}

/** A hash of the names and contents of the files of the checkout that a pattern matches. */
const hashOf = async (pattern: string): Promise<string> => {
  const hasher = new Bun.CryptoHasher("sha256")
  const files = [...new Bun.Glob(pattern).scanSync(root)].filter((file) => !file.includes("/node_modules/"))
  for (const file of files.sort()) {
    hasher.update(`${file}\0`)
    hasher.update(await Bun.file(join(root, file)).arrayBuffer())
  }
  return hasher.digest("hex")
}
