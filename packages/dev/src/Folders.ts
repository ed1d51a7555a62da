/**
 * Where the checkout and the cache are.
 *
 * @since 0.1.0
 */
import { homedir } from "node:os"
import { join, resolve } from "node:path"

/** The root of the checkout. */
export const root: string = resolve(import.meta.dir, "../../..")

/** `CAPSA_CACHE_DIR`, else `capsa` in `XDG_CACHE_HOME`, else `~/.cache/capsa`. Not necessarily there yet. */
export const cache = (env: Record<string, string | undefined> = process.env): string => {
  const configured = env["CAPSA_CACHE_DIR"]
  if (configured) return resolve(configured)
  return join(env["XDG_CACHE_HOME"] || join(env["HOME"] || homedir(), ".cache"), "capsa")
}
