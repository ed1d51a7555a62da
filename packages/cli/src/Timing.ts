/** Boot stages as bars. */
import type { BootStage, BootStageName } from "@capsa/core"
import * as Style from "./Style.ts"

/** What ends with a stage. */
const phrases: Record<BootStageName, string> = {
  created: "machine created",
  loaded: "kernel loaded",
  started: "first instruction",
  kernel: "kernel's first word",
  init: "init runs",
  agent: "agent answers"
}

const labelWidth = Math.max(...Object.values(phrases).map((phrase) => phrase.length))
const barWidth = 40

/** A time in milliseconds as people read it: "0.4 ms", "38 ms", "1.52 s". */
export const duration = (ms: number): string => {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

/**
 * One line a stage, each ending in a line end: its name, when it was reached since the launch was asked for, and a bar
 * from the stage before.
 *
 * @category rendering
 */
export const render = (stages: ReadonlyArray<BootStage>, output: { readonly colours: boolean }): string => {
  const { faint, good } = Style.of(output)
  const total = Math.max(...stages.map(({ atMs }) => atMs), 0)
  const columnAt = (ms: number) => (total === 0 ? 0 : Math.round((ms / total) * barWidth))
  return stages
    .map(({ name, atMs }, index) => {
      const from = columnAt(stages[index - 1]?.atMs ?? 0)
      const bar = "━".repeat(columnAt(atMs) - from) || "╸"
      return `${phrases[name].padEnd(labelWidth)} ${duration(atMs).padStart(8)} ${faint("·".repeat(from))}${good(bar)}\n`
    })
    .join("")
}
