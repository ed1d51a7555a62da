/**
 * The guest images that set-up makes sure of.
 *
 * @since 0.1.0
 */
import { type Finished, run } from "./Command.ts"
import type { Report } from "./Progress.ts"
import type { Purpose } from "./SystemPackages.ts"

/** What to ask of the images' builder. */
const selections: Record<Purpose, string> = { demo: "debian", tests: "all" }

/** Builds the images for a purpose, of this host's architecture or another. The builder knows what is built already. */
export const buildImages = (purpose: Purpose, report: Report, architecture?: "arm64"): Promise<Finished> => {
  const words = architecture === undefined ? [] : ["--arch", architecture]
  const argv = [process.execPath, "packages/guest/src/main.ts", "build", selections[purpose], ...words, "--json"]
  return run(argv, { onLine: report })
}
