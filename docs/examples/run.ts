/** Runs an example as its readers do, on the backend that CAPSA_TEST_BACKEND names; for the tests. */
import { join } from "node:path"

const { CAPSA_TEST_BACKEND: backend = "qemu" } = Bun.env

export const run = async (example: string, ...words: ReadonlyArray<string>) => {
  const argv = [process.execPath, ...words, join(import.meta.dir, example)]
  const child = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe", env: { ...Bun.env, CAPSA_BACKEND: backend } })
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { stdout, stderr, status }
}
