/**
 * The kernel command line as a value. Parsed and printed by the rules of the kernel itself (`lib/cmdline.c: next_arg`,
 * `kernel/params.c: parse_args`): words end at white space outside double quotes, there is no escape character, "-" and
 * "_" are the same in names, and everything after a word "--" belongs to init.
 */
import * as Either from "effect/Either"
import { KernelCmdlineError } from "./KernelCmdlineError.ts"

/** `key` alone is a flag; an empty `value` is not the same as none. @category models */
export interface Parameter {
  readonly key: string
  readonly value?: string | undefined
}

/** Only {@link make}, {@link parse} and {@link merge} make one, so every one can be printed. @category models */
export interface KernelCmdline {
  readonly parameters: ReadonlyArray<Parameter>
  /** Arguments of the first process, in order. */
  readonly init: ReadonlyArray<string>
}

/** A kernel architecture. @category models */
export type Architecture = "x86_64" | "arm64"

/**
 * The longest command line that a kernel takes, in bytes without the final NUL: COMMAND_LINE_SIZE - 1, from
 * `arch/x86/include/asm/setup.h` and `arch/arm64/include/uapi/asm/setup.h`.
 */
export const lengthMax: Readonly<Record<Architecture, number>> = { x86_64: 2047, arm64: 2047 }

/**
 * Makes a command line of parameters and arguments of init, keeping their order and removing what the kernel would
 * override anyway. Fails where no spelling exists that the kernel would read as given.
 *
 * @category constructors
 */
export const make = (
  parameters: ReadonlyArray<Parameter>,
  init: ReadonlyArray<string> = []
): Either.Either<KernelCmdline, KernelCmdlineError> => {
  const unspeakable =
    parameters.filter((parameter) => spell(parameter) === undefined).map(joined)[0] ??
    init.find((word) => spellInit(word) === undefined)
  if (unspeakable !== undefined) return Either.left(wrong("NotExpressible", unspeakable))
  return Either.right({ parameters: withoutOverridden(parameters), init })
}

/**
 * Reads a command line as the kernel would.
 *
 * @category constructors
 */
export const parse = (text: string): Either.Either<KernelCmdline, KernelCmdlineError> => {
  if (controlCharacter.test(text)) return Either.left(wrong("ControlCharacter", text))
  const words = split(text)
  if (words === undefined) return Either.left(wrong("UnbalancedQuote", text))
  const read = words.map(readWord)
  const dashes = read.findIndex(isDashes)
  const kernel = dashes === -1 ? read : read.slice(0, dashes)
  return make(kernel, dashes === -1 ? [] : read.slice(dashes + 1).map(joined))
}

/**
 * Later layers win: a parameter replaces those of the same name, but for the names that the kernel or the usual init
 * systems collect (`console=`, `memmap=`, …), which add up. Arguments of init follow each other.
 *
 * @category combinators
 */
export const merge = (...layers: ReadonlyArray<KernelCmdline>): KernelCmdline => ({
  parameters: withoutOverridden(layers.flatMap((layer) => layer.parameters)),
  init: layers.flatMap((layer) => layer.init)
})

/** The text for the kernel; {@link parse} of it gives the same value. @category destructors */
export const print = (cmdline: KernelCmdline): string =>
  [
    ...cmdline.parameters.map((parameter) => spell(parameter) ?? joined(parameter)),
    ...(cmdline.init.length === 0 ? [] : ["--"]),
    ...cmdline.init.map((word) => spellInit(word) ?? word)
  ].join(" ")

/** The text, unless it is too long for a kernel of this architecture. @category destructors */
export const printFor = (
  cmdline: KernelCmdline,
  architecture: Architecture
): Either.Either<string, KernelCmdlineError> => {
  const text = print(cmdline)
  const length = new TextEncoder().encode(text).byteLength
  if (length <= lengthMax[architecture]) return Either.right(text)
  return Either.left(
    new KernelCmdlineError({
      reason: "TooLong",
      detail: `The kernel command line has ${length} bytes; a kernel for ${architecture} takes ${lengthMax[architecture]}.`,
      hint: `Shorten it by ${length - lengthMax[architecture]} bytes; settings of user space can go into a file of the initrd.`
    })
  )
}

/** The value of a parameter's last occurrence; "" for a flag, `undefined` where it is absent. @category getters */
export const get = (cmdline: KernelCmdline, key: string): string | undefined => {
  const found = cmdline.parameters.findLast((parameter) => normalised(parameter.key) === normalised(key))
  return found === undefined ? undefined : (found.value ?? "")
}

const complaints = {
  ControlCharacter: ["holds a control character", "Remove line ends, NUL and other control characters."],
  UnbalancedQuote: ["has a quote that is not closed", 'Close it; the kernel knows no escape for a ".'],
  NotExpressible: [
    "cannot be written so that the kernel reads it as meant",
    'Give names without spaces and quotes, values without ", and no second "--".'
  ]
} as const

const wrong = (reason: keyof typeof complaints, text: string): KernelCmdlineError => {
  const [detail, hint] = complaints[reason]
  return new KernelCmdlineError({ reason, detail: `${JSON.stringify(text)} ${detail}.`, hint })
}

/** Names whose every occurrence counts: to the kernel, or to modprobe, dracut, systemd and our init, which read the same line. */
const collected = new Set([
  "capsa.share",
  "console",
  "earlycon",
  "memmap",
  "hugepagesz",
  "hugepages",
  "initcall_blacklist",
  "trace_event",
  "kprobe_event",
  "dyndbg",
  "ip",
  "modprobe.blacklist",
  "virtio_mmio.device"
])

/** What a parameter overrides: the earlier ones with the same identity. */
const identity = ({ key, value }: Parameter, index: number): string => {
  const name = normalised(key)
  // The kernel keeps the options of a console's first mention and the order of its last; one mention has both.
  if (name === "console" && value !== undefined) return `console=${value.split(",")[0]}`
  const everyOne = collected.has(name) || /^(rd|systemd)\./.test(name) || name.endsWith(".dyndbg")
  return everyOne ? `${index}` : `${name} `
}

const withoutOverridden = (parameters: ReadonlyArray<Parameter>): ReadonlyArray<Parameter> => {
  const identities = parameters.map(identity)
  const last = new Map(identities.map((id, index) => [id, index]))
  return parameters.filter((_, index) => last.get(identities[index] ?? "") === index)
}

/** The word that ends the kernel's part; quotes around it change nothing. */
const isDashes = ({ key, value }: Parameter): boolean => key === "--" && value === undefined

const normalised = (key: string): string => key.replaceAll("-", "_")

const joined = ({ key, value }: Parameter): string => (value === undefined ? key : `${key}=${value}`)

/** All of them but the tab, which is white space. */
const controlCharacter = /[^\t\u0020-\u007e\u0080-\uffff]/

const isSpace = (character: string): boolean => character === " " || (character >= "\t" && character <= "\r")

/** The kernel's character table is Latin-1, where byte 0xa0 is white space: it splits even an "à" in UTF-8. */
const asLatin1 = (text: string): string =>
  text.replace(/[^\0-\u007f]/gu, (character) => (new TextEncoder().encode(character).includes(0xa0) ? " " : character))

/** The words of a text, quotes still in place; `undefined` if a quote stays open. */
const split = (text: string): ReadonlyArray<string> | undefined => {
  const words: Array<string> = []
  let start = -1
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (character === '"') quoted = !quoted
    const ends = isSpace(character) && !quoted
    if (!ends && start === -1) start = index
    if (ends && start !== -1) {
      words.push(text.slice(start, index))
      start = -1
    }
  }
  if (start !== -1) words.push(text.slice(start))
  return quoted ? undefined : words
}

/** One word as `next_arg` takes it apart. */
const readWord = (word: string): Parameter => {
  const quoted = word.startsWith('"')
  const body = quoted ? word.slice(1) : word
  // A "=" at the very start does not separate, because the kernel takes position 0 for "none yet".
  const equals = body.indexOf("=", 1)
  const closed = (text: string) => (text.endsWith('"') ? text.slice(0, -1) : text)
  if (equals === -1) return { key: quoted ? closed(body) : body }
  const value = body.slice(equals + 1)
  const bare = value.startsWith('"') ? closed(value.slice(1)) : value
  const untouched = bare === value
  return { key: body.slice(0, equals), value: quoted && untouched ? closed(bare) : bare }
}

/** Whether it can be written as it is, without a look at how it would be read. */
const isPlain = ({ key, value = "" }: Parameter): boolean => /^[\w.]+$/.test(key) && /^[\w.,:/=-]*$/.test(value)

/** The first spelling that reads back as the parameter. */
const spell = (parameter: Parameter): string | undefined => {
  const { key, value } = parameter
  const word = joined(parameter)
  if (isPlain(parameter)) return word
  const spellings =
    value === undefined ? [key, `"${key}"`] : [word, `${key}="${value}"`, `"${word}"`, `${key}="${value}`]
  return spellings.find((spelling) => {
    const read = readsAs(spelling)
    return read !== undefined && read.key === key && read.value === value
  })
}

const spellInit = (word: string): string | undefined =>
  [word, `"${word}"`, spell(readWord(word))].find((spelling) => {
    const read = spelling === undefined ? undefined : readsAs(spelling)
    return read !== undefined && joined(read) === word
  })

const readsAs = (spelling: string): Parameter | undefined => {
  const words = controlCharacter.test(spelling) ? undefined : split(asLatin1(spelling))
  const isOneWord = words?.length === 1 && words[0]?.length === spelling.length
  const read = readWord(spelling)
  return isOneWord && !isDashes(read) ? read : undefined
}
