/**
 * The generated part of docs/OBSERVABILITY.md: `bun packages/capsa/scripts/observabilityPage.ts` writes it; a test holds the
 * page against it.
 */
import * as Option from "effect/Option"
import * as AST from "effect/SchemaAST"
import * as Logging from "../src/Logging.ts"
import * as Metrics from "../src/Metrics.ts"
import { code, table, withGenerated } from "./markdown.ts"

/** The page's path from the root. */
export const page = "docs/OBSERVABILITY.md"

const describe = AST.getDescriptionAnnotation

const fieldTable = (): string => {
  const ofAll = new Set(AST.getPropertySignatures(Logging.LogLine.ast).map(({ name }) => name))
  return table(
    ["field", "on which lines", "meaning"],
    AST.getPropertySignatures(Logging.MachineLogLine.ast).map((field) => [
      code(String(field.name)),
      field.isOptional ? "those that tell of a failure" : ofAll.has(field.name) ? "all" : "those of a machine",
      Option.getOrThrow(Option.orElse(describe(field), () => describe(field.type)))
    ])
  )
}

const componentTable = (): string =>
  table(
    ["component", "speaks of"],
    Object.entries(Logging.components).map(([name, about]) => [code(name), about])
  )

const inPrometheus = ({ kind, name }: Metrics.Definition): string =>
  `${name.replaceAll(".", "_")}${kind === "counter" ? "_total" : ""}`

const metricTable = (): string =>
  table(
    ["metric", "in Prometheus", "kind", "unit", "what", "labels"],
    Object.values<Metrics.Definition>(Metrics.definitions).map((metric) => [
      code(metric.name),
      code(inPrometheus(metric)),
      metric.kind,
      code(metric.unit),
      metric.description,
      Object.entries(metric.labels)
        .map(([label, values]) => `${code(label)}: ${values}`)
        .join("; ")
    ])
  )

/** The page with its generated part as the code has it now. */
export const updated = (text: string): string =>
  withGenerated(text, "observabilityPage.ts", [
    "## Fields",
    fieldTable(),
    "## Components",
    componentTable(),
    "## Metrics",
    metricTable()
  ])

if (import.meta.main) await Bun.write(page, updated(await Bun.file(page).text()))
