/** Whether a configuration can be run here, found out before anything starts. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Order from "effect/Order"
import type { BackendName } from "./BackendName.ts"
import { isFirmware } from "./BootConfig.ts"
import { commandLine, type PlanOptions } from "./BootPlan.ts"
import { defaults } from "./ConfigDefaults.ts"
import { type Capable, refusals } from "./internal/demands.ts"
import { bootFileProblems } from "./internal/fileProblems.ts"
import { flowProblems, networkProblems, policyProblems } from "./internal/networkProblems.ts"
import { ensure, isName, nameHint, type Problems, within } from "./internal/problem.ts"
import { limitProblems, mainProblems, memoryMinMib, timeProblems, timeSpanMax } from "./internal/settingProblems.ts"
import { diskProblems, shareProblems } from "./internal/storageProblems.ts"
import { format, toMib } from "./MemorySize.ts"
import type { NetworkPolicy } from "./NetworkConfig.ts"
import type { NetworkFlow } from "./NetworkFlow.ts"
import { VmConfig } from "./VmConfig.ts"
import { VmConfigError, type VmConfigProblem } from "./VmConfigError.ts"

export { type Capable, memoryMinMib, timeSpanMax }

/** Bounds of `console.historyBytes`. */
export const historyBytesMin = 4096
/** @see {@link historyBytesMin} */
export const historyBytesMax = 256 * 1024 * 1024

/** Who is to run the configuration. @category models */
export interface ValidationOptions extends Pick<PlanOptions, "capabilities" | "images"> {
  readonly backend: BackendName
  /** Other backends; those that could run what this one refuses are named. */
  readonly others?: ReadonlyArray<Capable> | undefined
}

/**
 * Looks at every field and file and fails with all that is wrong: `Unsupported` where this backend's capabilities are
 * the only obstacle, `Invalid` otherwise.
 *
 * @category validation
 */
export const validate = Effect.fn("ConfigValidation.validate")(function* (
  config: VmConfig,
  options: ValidationOptions
) {
  const { backend: name, capabilities, others = [] } = options
  const problems = [
    ...settingProblems(config, options),
    ...(yield* bootFileProblems(config.boot, config.memory)),
    ...(yield* diskProblems(config.disks)),
    ...(yield* shareProblems(config.shares)),
    ...refusals(
      config,
      { name, capabilities },
      others.filter((other) => other.name !== name)
    )
  ]
  return yield* failing(problems)
})

const failing = (problems: Problems): Effect.Effect<void, VmConfigError> =>
  Effect.suspend(() => {
    const [first, ...rest] = Arr.sort(problems, inOrderOfFields)
    if (first === undefined) return Effect.void
    const reason = problems.every(({ refusal }) => refusal !== undefined) ? "Unsupported" : "Invalid"
    return Effect.fail(new VmConfigError({ reason, problems: [first, ...rest] }))
  })

/** The same for a policy that is to replace another. @category validation */
export const validatePolicy = (policy: NetworkPolicy): Effect.Effect<void, VmConfigError> =>
  Effect.suspend(() => failing(policyProblems("policy", policy)))

/** The same for what a policy is asked about. @category validation */
export const validateFlow = (flow: NetworkFlow): Effect.Effect<void, VmConfigError> =>
  Effect.suspend(() => failing(flowProblems(flow)))

const inOrderOfFields = Order.mapInput(Order.number, ({ path }: VmConfigProblem) =>
  Object.keys(VmConfig.fields).indexOf(path.split(".")[0] ?? "")
)

/** What can be said without looking at files or at the backend's features. */
const settingProblems = (config: VmConfig, options: ValidationOptions): Problems => [
  ...nameProblems(config),
  ...cmdlineProblems(config, options),
  ...cpuProblems(config),
  ...memoryProblems(config),
  ...networkProblems(config.network),
  ...within("console.historyBytes", config.console?.historyBytes, historyBytesMin, historyBytesMax),
  ...limitProblems(config.limits),
  ...mainProblems(config.main),
  ...timeProblems("readyTimeout", config.readyTimeout),
  ...timeProblems("maxLifetime", config.maxLifetime)
]

const nameProblems = ({ name }: VmConfig): Problems =>
  ensure(name === undefined || isName(name), "name", `${JSON.stringify(name)} cannot be a name.`, nameHint)

const cmdlineProblems = (config: VmConfig, options: ValidationOptions): Problems =>
  isFirmware(config.boot)
    ? []
    : Either.match(commandLine(config, options), {
        onLeft: ({ detail, hint }) => [{ path: "boot.cmdline", detail, hint }],
        onRight: () => []
      })

const cpuProblems = ({ cpus = defaults.cpus }: VmConfig): Problems =>
  ensure(cpus >= 1, "cpus", `A machine cannot have ${cpus} processors.`, "Give at least 1.")

const memoryProblems = ({ memory = defaults.memory }: VmConfig): Problems =>
  ensure(
    toMib(memory) >= memoryMinMib,
    "memory",
    `${format(toMib(memory))} of memory is too little for Linux.`,
    `Give at least ${format(memoryMinMib)}.`
  )
