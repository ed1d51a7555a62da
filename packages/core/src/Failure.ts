/** What all errors of capsa have in common, and how they are told: to people as lines, to programs as data. */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Backend from "./BackendError.ts"
import type { BootStageName } from "./BootStage.ts"
import * as Console from "./ConsoleError.ts"
import * as KernelCmdline from "./KernelCmdlineError.ts"
import * as Machine from "./MachineError.ts"
import * as Pool from "./PoolError.ts"
import * as Sandbox from "./SandboxError.ts"
import * as State from "./StateError.ts"
import * as VmBoot from "./VmBootError.ts"
import * as VmConfig from "./VmConfigError.ts"
import * as Vsock from "./VsockError.ts"

export { docsOf, type FailureReason, type FailureReasons } from "./FailureReason.ts"

/** Every error of the library. @category models */
export const Failure = Schema.Union(
  Backend.BackendError,
  VmConfig.VmConfigError,
  VmBoot.VmBootError,
  Machine.MachineError,
  State.StateError,
  Console.ConsoleError,
  Sandbox.SandboxError,
  Pool.PoolError,
  Vsock.VsockError,
  KernelCmdline.KernelCmdlineError
)
/** @category models */
export type Failure = typeof Failure.Type

/** What each reason of each error means. @category models */
export const reasons = {
  BackendError: Backend.reasons,
  VmConfigError: VmConfig.reasons,
  VmBootError: VmBoot.reasons,
  MachineError: Machine.reasons,
  StateError: State.reasons,
  ConsoleError: Console.reasons,
  SandboxError: Sandbox.reasons,
  PoolError: Pool.reasons,
  VsockError: Vsock.reasons,
  KernelCmdlineError: KernelCmdline.reasons
} as const satisfies Record<Failure["_tag"], unknown>

/** "BackendError.Emulated" and so on: the names of all reasons. @category models */
export type FailureName = NamesIn<typeof reasons>

/** The names of the reasons in a record of error classes. @category models */
export type NamesIn<Classes> = {
  [Tag in keyof Classes & string]: `${Tag}.${keyof Classes[Tag] & string}`
}[keyof Classes & string]

/** What an error needs to be told; all of capsa's have it. @category models */
export interface Tellable {
  readonly _tag: string
  readonly reason: string
  readonly message: string
  readonly hint: string
  readonly retryable: boolean
  readonly docs: string
  readonly cause?: unknown
  readonly problems?: ReadonlyArray<VmConfig.VmConfigProblem>
  readonly stage?: BootStageName | undefined
  readonly consoleTail?: string | undefined
}

/** @category models */
export interface TellOptions {
  /** Also the stage and the console's last lines, the chain of causes, and where to read more. */
  readonly verbose?: boolean | undefined
}

/** A line for people, without mark or colour. @category models */
export interface Line {
  readonly kind: "happened" | "hint" | "console" | "stage" | "cause" | "docs"
  readonly text: string
}

/**
 * The lines for people: what happened and what to do, for each problem of a configuration; what is asked for beyond that
 * comes before.
 *
 * @category destructors
 */
export const linesOf = (error: Tellable, options?: TellOptions): ReadonlyArray<Line> => [
  ...(options?.verbose === true ? detailsOf(error) : []),
  ...(
    error.problems?.map(({ path, detail, hint }) => ({ what: `${path}: ${detail}`, hint })) ?? [
      { what: error.message, hint: error.hint }
    ]
  ).flatMap(({ what, hint }) => [
    { kind: "happened", text: inOneLine(what) } as const,
    { kind: "hint", text: inOneLine(hint) } as const
  ])
]

/** Programs that are quoted may have said several lines. */
const inOneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, " · ")

const detailsOf = (error: Tellable): ReadonlyArray<Line> => [
  ...linesIn(error.consoleTail ?? "").map((text) => ({ kind: "console", text }) as const),
  ...(error.stage === undefined ? [] : [{ kind: "stage", text: error.stage } as const]),
  ...causesOf(error).flatMap((cause) => linesIn(cause).map((text) => ({ kind: "cause", text }) as const)),
  { kind: "docs", text: error.docs }
]

const linesIn = (text: string): ReadonlyArray<string> =>
  text
    .split(/\r*\n/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== "")

const marks: Record<Line["kind"], string> = {
  happened: "",
  hint: "→ ",
  console: "  | ",
  stage: "  reached: ",
  cause: "  because: ",
  docs: "  see: "
}

/** A line as it is printed where there are no colours. @category destructors */
export const format = ({ kind, text }: Line): string => `${marks[kind]}${text}`

/** All lines as one text. @category destructors */
export const pretty = (error: Tellable, options?: TellOptions): string => linesOf(error, options).map(format).join("\n")

/** Causes that are followed, so that a circle ends. */
const causesMax = 16

/** What an error was caused by, what that was caused by, and so on, with the host's error name where it is known. */
export const causesOf = (error: { readonly cause?: unknown }): ReadonlyArray<string> => {
  const causes: Array<string> = []
  let cause = error.cause
  while (cause !== undefined && cause !== null && causes.length < causesMax) {
    causes.push(textOf(cause))
    cause = Predicate.hasProperty(cause, "cause") ? cause.cause : undefined
  }
  return causes
}

const textOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const code = "errno" in cause && typeof cause.errno === "string" ? cause.errno : "code" in cause ? cause.code : ""
  const isNew = typeof code === "string" && code !== "" && !cause.message.includes(code)
  return isNew ? `${cause.message} (${code})` : cause.message
}

/**
 * An error as JSON: what its schema writes, and what it says. `schema` decodes it again.
 *
 * @category destructors
 */
export const encode =
  <A extends Tellable, I>(schema: Schema.Schema<A, I>) =>
  (error: A) =>
    Effect.map(Effect.orDie(Schema.encode(schema)(error)), (data) => ({
      ...data,
      message: error.message,
      hint: error.hint,
      retryable: error.retryable,
      docs: error.docs,
      causes: causesOf(error)
    }))

/** {@link encode} for the errors of the library. @category destructors */
export const toJson = encode(Failure)
