/**
 * The generated part of docs/CONFIG.md: `bun packages/capsa/scripts/configPage.ts` writes it; a test holds the page
 * against it.
 */
import { fields } from "@capsa/core/ConfigFields"
import { code, table, withGenerated } from "./markdown.ts"

/** The page's path from the root. */
export const page = "docs/CONFIG.md"

const fieldTable = (): string =>
  table(
    ["field", "what to give", "if absent", "meaning"],
    fields().map(({ path, required, shape, default: value, description }) => [
      code(path),
      shape,
      required ? "required" : value === undefined ? "" : code(JSON.stringify(value)),
      description
    ])
  )

/** The page with its generated part as the code has it now. */
export const updated = (text: string): string => withGenerated(text, "configPage.ts", ["## Fields", fieldTable()])

if (import.meta.main) await Bun.write(page, updated(await Bun.file(page).text()))
