/** The help texts, made from what the parser knows of the options. */
import * as HelpDoc from "@effect/cli/HelpDoc"
import type { Span } from "@effect/cli/HelpDoc/Span"
import * as Options from "@effect/cli/Options"
import type { Output } from "./Stdio.ts"
import * as Style from "./Style.ts"
import { version } from "./version.ts"

/** A verb, or the program itself. @category models */
export interface Topic {
  readonly description: string
  /** What it takes beside options. */
  readonly usage?: string
  readonly options: Readonly<Record<string, Options.Options<unknown>>>
}

type Row = readonly [term: string, meaning: string]

const always: ReadonlyArray<Row> = [
  ["-h, --help", "Show this, or what there is for a verb."],
  ["--version", "Print the version."],
  ["--completions SHELL", "Print a completion script: bash, zsh or fish."],
  ["--log-level LEVEL", "Log from this level on: debug, info, warning, error, none."]
]

const textOf = (doc: HelpDoc.HelpDoc): string => Bun.stripANSI(HelpDoc.toAnsiText(doc)).replace(/\s+/g, " ").trim()

const termOf = (span: Span): string => textOf(HelpDoc.p(span)).replaceAll(" | ", "|")

const paragraphs = (doc: HelpDoc.HelpDoc): ReadonlyArray<string> =>
  doc._tag === "Sequence" ? [...paragraphs(doc.left), ...paragraphs(doc.right)] : [textOf(doc)]

/** One row an option: the parser puts its type before what we say of it, and whether it may be left out behind. */
const rows = (doc: HelpDoc.HelpDoc): ReadonlyArray<Row> => {
  if (doc._tag === "Sequence") return [...rows(doc.left), ...rows(doc.right)]
  if (doc._tag !== "DescriptionList") return []
  return doc.definitions.map(([term, meaning]) => [termOf(term), paragraphs(meaning)[1] ?? ""])
}

const table = (title: string, lines: ReadonlyArray<Row>, output: Output<unknown>): string => {
  if (lines.length === 0) return ""
  const { strong } = Style.of(output)
  const width = Math.max(...lines.map(([term]) => term.length))
  const told = lines.map(([term, text]) => `  ${term.padEnd(width)}  ${Style.wrap(text, output.columns, width + 4)}\n`)
  return `\n${strong(title)}\n${told.join("")}`
}

const optionRows = ({ options }: Topic) => rows(Options.getHelp(Options.all(options)))

/** Help about one verb. */
export const ofVerb = (verb: string, topic: Topic, output: Output<unknown>): string => {
  const lines = optionRows(topic)
  const usage = ["capsa", verb, ...(lines.length === 0 ? [] : ["[options]"]), topic.usage ?? ""].join(" ").trimEnd()
  return `${Style.of(output).strong(usage)}\n${Style.wrap(topic.description, output.columns, 0)}\n${table("Options", lines, output)}`
}

/** Help about the program. */
export const ofProgram = (program: Topic, verbs: Readonly<Record<string, Topic>>, output: Output<unknown>): string => {
  const verbRows = Object.entries(verbs).map(([verb, { description }]): Row => [verb, description])
  return [
    `${Style.of(output).strong("capsa VERB [options]")}  ${version}\n${program.description}\n`,
    table("Verbs", verbRows, output),
    table("Options", [...optionRows(program), ...always], output)
  ].join("")
}
