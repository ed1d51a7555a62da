/** The options of the verbs. */
import { type LimitsConfig, MemorySize } from "@capsa/core"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What runs the machine, as the command line names it. @category models */
export const backendNames = ["auto", "kvm", "qemu"] as const

/** `undefined` where the option is not given. */
const optional = <A>(option: Options.Options<A>) => Options.map(Options.optional(option), Option.getOrUndefined)

const parsed = <A>(name: string, words: string, example: string, parse: (text: string) => A | undefined) =>
  Options.text(name).pipe(
    Options.withPseudoName(words),
    Options.mapEffect((text) =>
      Effect.mapError(Effect.fromNullable(parse(text)), () =>
        ValidationError.invalidValue(HelpDoc.p(`--${name}: "${text}" is no ${words}; write it like ${example}`))
      )
    )
  )

/** With its unit: a plain number would leave open what it counts. */
const parseSize = (text: string): MemorySize | undefined => (Schema.is(MemorySize)(text) ? text : undefined)

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** "500ms", "30s", "5m", "1h". */
export const parseDuration = (text: string): Duration.Duration | undefined => {
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? []
  const factor = unitMs[unit ?? ""]
  return factor === undefined ? undefined : Duration.millis(Number(number) * factor)
}

const parseCount = (text: string): number | undefined => (/^\d{1,9}$/.test(text) ? Number(text) : undefined)

const decodeLimits = Schema.decodeUnknownOption(
  Schema.Struct({
    cpu: Schema.optionalWith(Schema.NumberFromString, { exact: true }),
    memory: Schema.optionalWith(MemorySize, { exact: true }),
    pids: Schema.optionalWith(Schema.NumberFromString, { exact: true })
  }),
  { onExcessProperty: "error" }
)

/** "cpu=0.5,memory=1GiB,pids=64". */
export const parseLimits = (text: string): LimitsConfig | undefined =>
  decodeLimits(Object.fromEntries(text.split(",").map((word) => word.split("=", 2)))).pipe(
    Option.map(({ cpu, ...limits }) => ({ ...limits, ...(cpu === undefined ? {} : { cpus: cpu }) })),
    Option.getOrUndefined
  )

const described = (description: string) => Options.withDescription(description)

const json = Options.boolean("json").pipe(described("Print the result, or the error, as JSON on stdout."))

/** The options of the verbs that only look. */
export const look = { json }

/** The options of `capsa cleanup`. */
export const cleanup = {
  dryRun: Options.boolean("dry-run").pipe(described("Show what would be removed, and leave it.")),
  json
}

/** The options of the program without a verb. */
export const program = {
  checkSystem: Options.boolean("check-system").pipe(described("The same as the verb doctor.")),
  json: Options.boolean("json").pipe(described("With --check-system: print the findings as JSON."))
}

/** The options of `capsa run`. */
export const run = {
  kernel: Options.text("kernel").pipe(
    Options.withPseudoName("file"),
    described("Kernel to boot: bzImage or vmlinux; on arm64, Image. The built-in guest if absent."),
    optional
  ),
  initrd: Options.text("initrd").pipe(
    Options.withPseudoName("file"),
    described("Initial RAM disk of that kernel."),
    optional
  ),
  cmdline: Options.text("cmdline").pipe(
    described("Parameters of that kernel; they win over those that capsa adds."),
    optional
  ),
  cpus: parsed("cpus", "number", "2", parseCount).pipe(described("Virtual processors. 1 if absent."), optional),
  memory: parsed("memory", "size", "512MiB or 2GiB", parseSize).pipe(
    described("Memory: 512MiB, 2GiB. 512MiB if absent."),
    optional
  ),
  backend: Options.choice("backend", backendNames).pipe(
    described("What runs the machine. The best of this host if absent."),
    Options.withDefault("auto")
  ),
  limit: parsed("limit", "limits", "cpu=0.5,memory=1GiB,pids=64", parseLimits).pipe(
    described("What the machine may take of this host: cpu=0.5,memory=1GiB,pids=64, any of them. On QEMU."),
    optional
  ),
  name: Options.text("name").pipe(described("Name of the machine, for logs."), optional),
  timeout: parsed("timeout", "duration", "30s, 5m or 1h", parseDuration).pipe(
    described("Kill the machine after this time and exit with 124: 30s, 5m."),
    optional
  ),
  verbose: Options.boolean("verbose").pipe(
    described("If it fails, say more: what the machine said last, how far it came, what caused the cause.")
  ),
  timing: Options.boolean("timing").pipe(described("Draw the stages of the boot on stderr, at the end.")),
  json: Options.boolean("json").pipe(
    described("Print the result, or the error, as JSON on stdout; the console goes to stderr.")
  )
}

type Parsed = { readonly [K in keyof typeof run]: (typeof run)[K] extends Options.Options<infer A> ? A : never }

/** What the options of `capsa run` say. @category models */
export interface RunOptions extends Parsed {}

/** The option that only makes sense together with `--kernel`, if that is missing. */
export const withoutKernel = ({ kernel, initrd, cmdline }: RunOptions): string | undefined => {
  if (kernel !== undefined) return undefined
  return initrd !== undefined ? "--initrd" : cmdline !== undefined ? "--cmdline" : undefined
}
