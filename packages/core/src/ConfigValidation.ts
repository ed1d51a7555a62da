/** Whether a configuration can be run here, found out before anything starts. */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { commandLine, defaults, type PlanOptions } from "./BootPlan.ts"
import { format, toMib } from "./MemorySize.ts"
import type { VmConfig } from "./VmConfig.ts"
import { VmConfigError, type VmConfigProblem } from "./VmConfigError.ts"

/** The least memory a machine can have, in MiB: below it no current kernel unpacks itself. */
export const memoryMinMib = 32

/** Bounds of `console.historyBytes`. */
export const historyBytesMin = 4096
/** @see {@link historyBytesMin} */
export const historyBytesMax = 256 * 1024 * 1024

type Options = Pick<PlanOptions, "capabilities" | "images">

/** A problem; `refusal` where another backend or host could do it. */
interface Found extends VmConfigProblem {
  readonly refusal?: true
}

/**
 * Looks at every field and file and fails with all that is wrong: `Unsupported` where this backend's capabilities are
 * the only obstacle, `Invalid` otherwise.
 *
 * @category validation
 */
export const validate = Effect.fn("ConfigValidation.validate")(function* (config: VmConfig, options: Options) {
  const found: ReadonlyArray<Found> = [
    ...nameProblems(config),
    ...(yield* fileProblems(config)),
    ...bootProblems(config, options),
    ...cpuProblems(config, options),
    ...memoryProblems(config, options),
    ...consoleProblems(config),
    ...limitProblems(config, options)
  ]
  const [first, ...rest] = found.map(({ path, detail, hint }) => ({ path, detail, hint }))
  if (first === undefined) return
  const reason = found.every((problem) => problem.refusal) ? "Unsupported" : "Invalid"
  return yield* new VmConfigError({ reason, problems: [first, ...rest] })
})

const nameProblems = ({ name }: VmConfig): ReadonlyArray<Found> =>
  name === undefined || /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)
    ? []
    : [
        {
          path: "name",
          detail: `${JSON.stringify(name)} cannot be a name.`,
          hint: 'Use at most 63 letters, digits, ".", "_" and "-", with a letter or digit first.'
        }
      ]

const bootProblems = ({ boot, ...config }: VmConfig, options: Options): ReadonlyArray<Found> => {
  const { consoles, discovery } = options.capabilities
  const problems: Array<Found> = []
  if (boot?.console !== undefined && !consoles.includes(boot.console)) {
    problems.push(refusal("boot.console", `A console of kind "${boot.console}"`, `Use ${oneOf(consoles)}.`))
  }
  if (boot?.discovery !== undefined && !discovery.includes(boot.discovery)) {
    problems.push(refusal("boot.discovery", `Discovery by ${boot.discovery}`, `Use ${oneOf(discovery)}.`))
  }
  return Either.match(commandLine({ boot, ...config }, options), {
    onLeft: ({ detail, hint }) => [...problems, { path: "boot.cmdline", detail, hint }],
    onRight: () => problems
  })
}

const cpuProblems = ({ cpus = defaults.cpus }: VmConfig, { capabilities }: Options): ReadonlyArray<Found> => {
  const { maxCpus } = capabilities
  if (cpus < 1) return [{ path: "cpus", detail: `A machine cannot have ${cpus} processors.`, hint: "Give at least 1." }]
  return cpus > maxCpus ? [refusal("cpus", `More than ${maxCpus} processors`, `Give at most ${maxCpus}.`)] : []
}

const memoryProblems = ({ memory }: VmConfig, { capabilities }: Options): ReadonlyArray<Found> => {
  const mib = memory === undefined ? defaults.memoryMib : toMib(memory)
  const most = capabilities.maxMemoryMib
  if (mib < memoryMinMib) {
    const detail = `${format(mib)} of memory is too little for Linux.`
    return [{ path: "memory", detail, hint: `Give at least ${format(memoryMinMib)}.` }]
  }
  return mib > most ? [refusal("memory", `More than ${format(most)} of memory`, `Give at most ${format(most)}.`)] : []
}

const consoleProblems = (config: VmConfig): ReadonlyArray<Found> => {
  const bytes = config.console?.historyBytes
  if (bytes === undefined || (bytes >= historyBytesMin && bytes <= historyBytesMax)) return []
  const hint = `Give ${historyBytesMin} to ${historyBytesMax}.`
  return [{ path: "console.historyBytes", detail: `A history of ${bytes} bytes is out of range.`, hint }]
}

const limitProblems = ({ limits }: VmConfig, { capabilities }: Options): ReadonlyArray<Found> =>
  limits === undefined || capabilities.limits
    ? []
    : [refusal("limits", "Limiting one machine", "Leave it out, or use the QEMU backend on Linux.")]

const fileProblems = Effect.fnUntraced(function* ({ boot, memory }: VmConfig) {
  if (boot === undefined) return []
  const kernel = yield* lookAt("boot.kernel", boot.kernel)
  const initrd = boot.initrd === undefined ? nothing : yield* lookAt("boot.initrd", boot.initrd)
  const problems = [...kernel.problems, ...initrd.problems]
  const mib = memory === undefined ? defaults.memoryMib : toMib(memory)
  if (problems.length > 0 || kernel.bytes + initrd.bytes < mib * 1024 * 1024) return problems
  const [path, file] = initrd.bytes > kernel.bytes ? ["boot.initrd", boot.initrd] : ["boot.kernel", boot.kernel]
  const detail = `${file} does not fit into ${format(mib)} of memory.`
  return [{ path, detail, hint: "Give the machine more memory, or check that this is the right file." }]
})

interface Look {
  readonly bytes: number
  readonly problems: ReadonlyArray<Found>
}

const nothing: Look = { bytes: 0, problems: [] }

const lookAt = Effect.fnUntraced(
  function* (field: string, file: string) {
    const fs = yield* FileSystem.FileSystem
    const { type, size } = yield* fs.stat(file)
    if (type !== "File") return broken(field, `${file} is not a regular file.`, "Name the image itself.")
    if (size === 0n) return broken(field, `${file} is empty.`, "Build or download it again.")
    yield* fs.access(file, { readable: true })
    return { bytes: Number(size), problems: [] }
  },
  (look, field, file) => Effect.catchAll(look, (error: PlatformError) => Effect.succeed(unreadable(field, file, error)))
)

const broken = (path: string, detail: string, hint: string): Look => ({ bytes: 0, problems: [{ path, detail, hint }] })

const unreadable = (field: string, file: string, error: PlatformError): Look => {
  const reason = error._tag === "SystemError" ? error.reason : "BadArgument"
  if (reason === "NotFound") {
    return broken(field, `There is no file ${file}.`, "Correct the path; a relative one starts at the working folder.")
  }
  if (reason === "PermissionDenied") {
    return broken(field, `${file} may not be read.`, `Make it readable for this user: chmod a+r ${file}`)
  }
  return broken(field, `${file} cannot be read: ${error.message}`, "Correct the path.")
}

const refusal = (path: string, what: string, hint: string): Found => ({
  path,
  detail: `${what} is beyond this backend.`,
  hint,
  refusal: true
})

const oneOf = (values: ReadonlyArray<string>): string => values.map((value) => `"${value}"`).join(" or ")
