/** The options of the verbs. */
import { type DiskConfig, type LimitsConfig, MemorySize, type ShareConfig } from "@capsa/core"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { backendNames } from "./backendNames.ts"
import { parsePublish, parseTarget } from "./network.ts"

/** `undefined` where the option is not given. */
const optional = <A>(option: Options.Options<A>) => Options.map(Options.optional(option), Option.getOrUndefined)

/** An option whose text means something: what it is called, and how it is written. */
interface Meaning<A> {
  readonly name: string
  readonly words: string
  readonly example: string
  readonly parse: (text: string) => A | undefined
}

const read =
  <A>({ name, words, example, parse }: Meaning<A>) =>
  (text: string) =>
    Effect.mapError(Effect.fromNullable(parse(text)), () =>
      ValidationError.invalidValue(HelpDoc.p(`--${name}: "${text}" is no ${words}; write it like ${example}`))
    )

const parsed = <A>(name: string, words: string, example: string, parse: Meaning<A>["parse"]) =>
  Options.text(name).pipe(Options.withPseudoName(words), Options.mapEffect(read({ name, words, example, parse })))

/** One that may be given several times. */
const several = <A>(name: string, words: string, example: string, parse: Meaning<A>["parse"]) =>
  Options.text(name).pipe(
    Options.withPseudoName(words),
    Options.repeated,
    Options.mapEffect(Effect.forEach(read({ name, words, example, parse })))
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

/** "root.img", "data.img:ro", "base.qcow2:qcow2:ephemeral"; what is behind the last colons are words that are known. */
export const parseDisk = (text: string): DiskConfig | undefined => {
  const [, path = "", words = ""] = /^(.+?)((?::(?:ro|ephemeral|qcow2))*)$/.exec(text) ?? []
  if (path === "") return undefined
  const has = (word: string) => words.split(":").includes(word)
  return {
    path,
    ...(has("ro") && { readOnly: true }),
    ...(has("ephemeral") && { ephemeral: true }),
    ...(has("qcow2") && { format: "qcow2" as const })
  }
}

/** "src:/src", "src:/src:rw". */
export const parseShare = (text: string): ShareConfig | undefined => {
  const [, host, guest, mode] = /^(.+?):(\/[^:]*)(?::(ro|rw))?$/.exec(text) ?? []
  if (host === undefined || guest === undefined) return undefined
  return { host, guest, ...((mode === "ro" || mode === "rw") && { mode }) }
}

/** "NAME=value". */
const parseVariable = (text: string): readonly [name: string, value: string] | undefined => {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  return name === undefined || value === undefined ? undefined : [name, value]
}

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

/** What a command in a guest is run with. */
const process = {
  env: several("env", "variable", "NAME=value", parseVariable).pipe(
    described("Variable of the command's environment: NAME=value. May be given several times.")
  ),
  cwd: Options.text("cwd").pipe(
    Options.withPseudoName("folder"),
    described("Folder of the guest that the command runs in. / if absent."),
    optional
  ),
  user: Options.text("user").pipe(
    described("Who runs the command in the guest: a name or number, or user:group. root if absent."),
    optional
  ),
  tty: Options.boolean("tty").pipe(described("Run the command in a terminal, with this one's size and keys."))
}

/** The options of `capsa exec`. */
export const exec = {
  ...process,
  json: Options.boolean("json").pipe(described("Print what the command said and how it ended as JSON on stdout."))
}

/** The options of `capsa logs`. */
export const logs = {
  follow: Options.boolean("follow").pipe(
    Options.withAlias("f"),
    described("Go on with what comes, until the machine ends.")
  ),
  json
}

/** The options of `capsa guest`. */
export const guest = {
  update: Options.boolean("update").pipe(
    described("With build: ask what the distribution offers now; otherwise what was built once stays.")
  ),
  json
}

/** The options of `capsa stop`. */
export const stop = {
  grace: parsed("grace", "duration", "10s or 1m", parseDuration).pipe(
    described("How long the guest may take to end its programs before it is killed. 5s if absent."),
    Options.withDefault(Duration.seconds(5))
  ),
  force: Options.boolean("force").pipe(described("Kill it at once.")),
  json
}

const rules = "example.org, *.example.org:443, 10.0.0.0/8:8000-8099/tcp or *:22"

/** The options of `capsa run`. */
export const run = {
  kernel: Options.text("kernel").pipe(
    Options.withPseudoName("file"),
    described("Kernel to boot: bzImage or vmlinux; on arm64, Image. The built-in guest if absent."),
    optional
  ),
  guest: Options.choice("guest", ["tiny", "debian"] as const).pipe(
    described(
      "Kernel of the built-in guest: tiny is built from source at its first use, in minutes, and starts fastest. tiny as soon as it has been built, if absent."
    ),
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
  firmware: Options.choice("firmware", ["uefi"] as const).pipe(
    described("Firmware to start, which finds a system on a disk, in place of a kernel. On QEMU."),
    optional
  ),
  variables: Options.text("variables").pipe(
    Options.withPseudoName("file"),
    described("File that keeps that firmware's variables, made if it is missing. They are lost if absent."),
    optional
  ),
  disk: several("disk", "disk", "root.img, data.img:ro, base.img:ephemeral or system.qcow2:qcow2", parseDisk).pipe(
    described("Disk from an image; with a kernel of your own the first has the root. May be given several times.")
  ),
  share: several("share", "share", "src:/src or out:/out:rw", parseShare).pipe(
    described("Folder of this host and where the guest has it, :ro (if absent) or :rw. May be given several times.")
  ),
  net: Options.choice("net", ["none", "user"] as const).pipe(
    described("How the machine reaches a network: user is through this host. user if one of the next three is there."),
    optional
  ),
  publish: several("publish", "port", "8080:80, 0.0.0.0:8080:80 or 5353:53/udp", parsePublish).pipe(
    described(
      "Port of this host that leads to one of the guest: [ADDR:]HOST:GUEST[/tcp|udp]. May be given several times."
    )
  ),
  allow: several("allow", "rule", rules, parseTarget).pipe(
    described(`What the machine may reach, and nothing else: ${rules}. May be given several times.`)
  ),
  deny: several("deny", "rule", rules, parseTarget).pipe(
    described(
      "What the machine may not reach, written the same way; it goes before --allow. May be given several times."
    )
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
  ...process,
  name: Options.text("name").pipe(
    described("Name of the machine, for logs and for the verbs that take one."),
    optional
  ),
  detach: Options.boolean("detach").pipe(
    described("Leave the machine running and print its id; exec, cp, logs and stop reach it by that or by its name.")
  ),
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
export interface RunOptions extends Parsed {
  /** What stands behind `--`; nothing if that is not there. */
  readonly command: ReadonlyArray<string>
}

/** What is run in a guest, and how. @category models */
export interface ProcessOptions extends Pick<RunOptions, keyof typeof process | "json"> {
  readonly command: readonly [program: string, ...args: ReadonlyArray<string>]
}

/** The options of a run with a command. @category models */
export interface CommandOptions extends RunOptions, ProcessOptions {
  readonly command: ProcessOptions["command"]
}

/** Whether there is a command to run. */
export const isCommand = (options: RunOptions): options is CommandOptions => options.command.length > 0

/** The option that only makes sense together with a command, if that is missing. */
export const withoutCommand = (options: RunOptions): string | undefined => {
  if (isCommand(options)) return undefined
  const { cwd, env, tty, user } = options
  if (env.length > 0) return "--env"
  if (tty) return "--tty"
  return cwd !== undefined ? "--cwd" : user !== undefined ? "--user" : undefined
}

/** The option that only makes sense together with `--kernel`, if that is missing. */
export const withoutKernel = ({ kernel, initrd, cmdline }: RunOptions): string | undefined => {
  if (kernel !== undefined) return undefined
  return initrd !== undefined ? "--initrd" : cmdline !== undefined ? "--cmdline" : undefined
}
