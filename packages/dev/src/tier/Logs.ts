/**
 * Where test runs leave their logs.
 *
 * @since 0.1.0
 */
import { mkdir, readdir, rm } from "node:fs/promises"
import { join } from "node:path"

/** So many runs' logs are kept. */
const runsMax = 10

/** Makes a folder for one run's logs inside `parent`, and removes those of the oldest runs. */
export const makeFolder = async (parent: string, startedAt: Date): Promise<string> => {
  const folder = join(parent, `test-${startedAt.toISOString().replace(/\D/g, "")}-${process.pid}`)
  await mkdir(folder, { recursive: true })
  const runs = (await readdir(parent)).filter((name) => name.startsWith("test-")).sort()
  const old = runs.slice(0, -runsMax)
  await Promise.all(old.map((name) => rm(join(parent, name), { recursive: true, force: true })))
  return folder
}
