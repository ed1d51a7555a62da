import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type BootConfig, type DirectBoot, type FirmwareBoot, isBuiltin, isFirmware } from "../BootConfig.ts"
import { defaults } from "../ConfigDefaults.ts"
import { type DiskConfig, isWritten } from "../DiskConfig.ts"
import { format, type MemorySize, toMib } from "../MemorySize.ts"
import type { ShareConfig } from "../ShareConfig.ts"
import { ensure, type Problems } from "./problem.ts"
import * as Qcow2 from "./qcow2.ts"

/** What is wrong with the files that a machine starts from. */
export const bootFileProblems = (boot: BootConfig | undefined, memory: MemorySize = defaults.memory) => {
  if (isBuiltin(boot)) return Effect.succeed<Problems>([])
  return isFirmware(boot) ? variablesProblems(boot) : kernelProblems(boot, toMib(memory))
}

const kernelProblems = Effect.fnUntraced(function* (boot: DirectBoot, memoryMib: number) {
  const kernel = yield* lookAt("boot.kernel", boot.kernel, image)
  const initrd = boot.initrd === undefined ? absent : yield* lookAt("boot.initrd", boot.initrd, image)
  const problems = [...kernel.problems, ...initrd.problems]
  if (problems.length > 0) return problems
  const [path, file] = initrd.bytes > kernel.bytes ? ["boot.initrd", boot.initrd] : ["boot.kernel", boot.kernel]
  return ensure(
    kernel.bytes + initrd.bytes < memoryMib * 1024 * 1024,
    path,
    `${file} does not fit into ${format(memoryMib)} of memory.`,
    "Give the machine more memory, or check that this is the right file."
  )
})

const variablesProblems = Effect.fnUntraced(function* ({ variables }: FirmwareBoot) {
  if (variables === undefined) return []
  const field = "boot.variables"
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const isThere = yield* Effect.orElseSucceed(fs.exists(variables), () => true)
  const look = isThere
    ? lookAt(field, variables, { ...image, toWrite: "" })
    : lookAt(field, path.dirname(path.resolve(variables)), { ...folder, toWrite: "" })
  return (yield* look).problems
})

/** What is wrong with the image of one disk. */
export const diskFileProblems = Effect.fnUntraced(function* (field: string, disk: DiskConfig) {
  const wanted: Wanted = disk.blockDevice === true ? blockDevice : image
  const toWrite = isWritten(disk) ? "; or make the disk readOnly or ephemeral" : undefined
  const { bytes, problems } = yield* lookAt(field, disk.path, { ...wanted, toWrite })
  if (problems.length > 0) return problems
  if (disk.format === "qcow2") return yield* chainProblems(field, disk)
  const detail = `${disk.path} has ${bytes} bytes, which is no whole number of sectors.`
  return ensure(bytes % 512 === 0, field, detail, `Make it a multiple of 512: truncate -s %512 ${disk.path}`)
})

/** What is wrong with a qcow2 image and those that it builds on: all that it leads to has to be named by the host. */
const chainProblems = Effect.fnUntraced(function* (field: string, { backing = [], path }: DiskConfig) {
  const listed = backing.map((image, index) => ({
    ...image,
    field: `${field.replace(/path$/, "backing")}.${index}.path`
  }))
  const looks = yield* Effect.forEach(listed, (listed) => lookAt(listed.field, listed.path, image))
  const missing = looks.flatMap(({ problems }) => problems)
  if (missing.length > 0) return missing
  const chain = [{ path, format: "qcow2", field } as const, ...listed]
  const problems = yield* Effect.forEach(chain, (image, index) =>
    qcow2Problems(image.field, image.path, image.format === "qcow2", index < listed.length)
  )
  return problems.flat()
})

/** `isFollowed`: another image comes after it. */
const qcow2Problems = Effect.fnUntraced(function* (field: string, path: string, isQcow2: boolean, isFollowed: boolean) {
  if (!isQcow2) {
    const hint = "Leave out what comes after it, or say that it is qcow2."
    return ensure(!isFollowed, field, `${path} is raw, and builds on nothing.`, hint)
  }
  const header = Option.getOrUndefined(yield* Effect.orElseSucceed(Qcow2.read(path), Option.none))
  if (header === undefined) {
    const hint = "Leave out `format` if it is a raw one; else look at it: qemu-img info."
    return ensure(false, field, `${path} is no qcow2 image.`, hint)
  }
  return [
    ...ensure(!header.isEncrypted, field, `${path} is encrypted.`, "Decrypt it: qemu-img convert -O qcow2."),
    ...ensure(
      !header.hasDataFile,
      field,
      `${path} has its content in another file, which its header names.`,
      "Unite them: qemu-img convert -O qcow2. An image that somebody else made could name any file of this host."
    ),
    ...ensure(
      !header.hasBacking || isFollowed,
      field,
      `${path} builds on another image, which its header names and the configuration does not.`,
      "Name that image in `backing` if you know it. An image that somebody else made could name any file of this host."
    ),
    ...ensure(header.hasBacking || !isFollowed, field, `${path} builds on nothing.`, "Leave out what comes after it.")
  ]
})

/** What is wrong with the host's side of a share. */
export const shareFileProblems = Effect.fnUntraced(function* (field: string, { host, mode }: ShareConfig) {
  const toWrite = mode === "rw" ? '; or share it with mode "ro"' : undefined
  return (yield* lookAt(field, host, { ...folder, toWrite })).problems
})

interface Wanted {
  readonly types: ReadonlyArray<FileSystem.File.Type>
  readonly noun: string
  /** There if it has to be writable: the end of the hint, what else can be done about it. */
  readonly toWrite?: string | undefined
}

const image: Wanted = { types: ["File"], noun: "file" }
const blockDevice: Wanted = { types: ["BlockDevice"], noun: "block device" }
const folder: Wanted = { types: ["Directory"], noun: "folder" }

interface Look {
  readonly bytes: number
  readonly problems: Problems
}

const absent: Look = { bytes: 0, problems: [] }

const lookAt = Effect.fnUntraced(function* (field: string, file: string, { types, noun, toWrite }: Wanted) {
  const fs = yield* FileSystem.FileSystem
  const access = (mode: FileSystem.AccessFileOptions, way: Way) =>
    Effect.mapError(fs.access(file, mode), (error) => inaccessible(field, file, noun, way, error))
  const looked = Effect.gen(function* () {
    const { type, size } = yield* Effect.mapError(fs.stat(file), (error) =>
      inaccessible(field, file, noun, reading, error)
    )
    if (!types.includes(type)) return broken(field, `${file} is no ${noun}.`, `Name a ${noun}.`)
    if (type === "File" && size === 0n) return broken(field, `${file} is empty.`, "Make or download it again.")
    yield* access({ readable: true }, reading)
    if (toWrite !== undefined) yield* access({ writable: true }, { ...writing, instead: toWrite })
    return { bytes: Number(size), problems: [] } satisfies Look
  })
  return yield* Effect.merge(looked)
})

interface Way {
  readonly verb: string
  readonly permission: string
  readonly instead: string
}

const reading: Way = { verb: "read", permission: "a+r", instead: "" }
const writing: Way = { verb: "written to", permission: "u+w", instead: "" }

const broken = (path: string, detail: string, hint: string): Look => ({ bytes: 0, problems: [{ path, detail, hint }] })

const inaccessible = (field: string, file: string, noun: string, way: Way, error: PlatformError): Look => {
  const { verb, permission, instead } = way
  const reason = error._tag === "SystemError" ? error.reason : "BadArgument"
  if (reason === "NotFound") {
    const hint = "Correct the path; a relative one starts at the working folder."
    return broken(field, `There is no ${noun} ${file}.`, hint)
  }
  if (reason === "PermissionDenied") {
    const hint = `Permit it to this user: chmod ${permission} ${file}${instead}`
    return broken(field, `${file} may not be ${verb}.`, hint)
  }
  return broken(field, `${file} cannot be ${verb}: ${error.message}`, `Correct the path${instead}.`)
}
