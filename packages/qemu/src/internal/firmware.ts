/** UEFI firmware of this host that QEMU can run, as its packages describe it. */
import { dirname, join } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Absolute paths of two flash images in the format raw. @category models */
export interface Firmware {
  /** The firmware itself, which machines only read. */
  readonly code: string
  /** What the variables of a new machine are a copy of. */
  readonly variables: string
}

/** Why there is none: a clause that follows "because", and what to do. */
export interface Missing {
  readonly reason: string
  readonly hint: string
}

/** Where to look: folders with descriptors, then what stands in well-known places without any. */
export interface Places {
  /** The first has the last word on a descriptor that several have. */
  readonly folders: ReadonlyArray<string>
  readonly pairs: ReadonlyArray<Firmware>
}

const File = Schema.Struct({ filename: Schema.String, format: Schema.String })

/** What is of use here of a descriptor, as QEMU's docs/interop/firmware.json defines it. */
const Descriptor = Schema.parseJson(
  Schema.Struct({
    "interface-types": Schema.Array(Schema.String),
    mapping: Schema.Struct({
      device: Schema.Literal("flash"),
      /** With the code and the variables in two files, which is so if it is absent. */
      mode: Schema.optional(Schema.Literal("split")),
      executable: File,
      "nvram-template": File
    }),
    targets: Schema.Array(Schema.Struct({ architecture: Schema.String, machines: Schema.Array(Schema.String) })),
    features: Schema.Array(Schema.String)
  })
)

/** Firmware for Secure Boot wants a processor mode (SMM) that the machines do not have, or takes only what others signed. */
const unfit: ReadonlySet<string> = new Set(["requires-smm", "secure-boot", "enrolled-keys"])

const firmwareOf = ({ features, mapping, targets, ...descriptor }: typeof Descriptor.Type): Option.Option<Firmware> => {
  const { executable, "nvram-template": template } = mapping
  const fits =
    descriptor["interface-types"].includes("uefi") &&
    executable.format === "raw" &&
    template.format === "raw" &&
    !features.some((feature) => unfit.has(feature)) &&
    targets.some(
      ({ architecture, machines }) =>
        architecture === "x86_64" && machines.some((machine) => machine.startsWith("pc-q35-"))
    )
  return fits ? Option.some({ code: executable.filename, variables: template.filename }) : Option.none()
}

/** Where the packages of distributions, and of a QEMU at `program`, put it. */
export const placesOf = Effect.fnUntraced(function* (program: string) {
  const fs = yield* FileSystem.FileSystem
  const real = yield* Effect.orElseSucceed(fs.realPath(program), () => program)
  const share = join(dirname(real), "../share/qemu")
  const { HOME = "/", XDG_CONFIG_HOME: config = join(HOME, ".config") } = Bun.env
  const folders = [join(config, "qemu"), "/etc/qemu", "/usr/share/qemu", share]
  return {
    folders: folders.map((folder) => join(folder, "firmware")),
    pairs: [
      { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
      { code: "/usr/share/OVMF/OVMF_CODE.fd", variables: "/usr/share/OVMF/OVMF_VARS.fd" },
      { code: join(share, "edk2-x86_64-code.fd"), variables: join(share, "edk2-i386-vars.fd") }
    ]
  } satisfies Places
})

/** The firmware that QEMU's own order puts first, of what this user may read. */
export const find = Effect.fnUntraced(function* (places: Places) {
  const described = yield* Effect.map(descriptors(places.folders), (all) => all.flatMap(Option.toArray))
  const found = yield* Effect.findFirst([...described, ...places.pairs], isReadable)
  return Either.fromOption(found, () => missing)
})

/** One that was named. */
export const named = (
  firmware: Firmware
): Effect.Effect<Either.Either<Firmware, Missing>, never, FileSystem.FileSystem> =>
  Effect.map(isReadable(firmware), (readable) =>
    readable ? Either.right(firmware) : Either.left(unreadable(firmware))
  )

const descriptors = Effect.fnUntraced(function* (folders: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const files = new Map<string, string>()
  for (const folder of folders) {
    for (const name of yield* Effect.orElseSucceed(fs.readDirectory(folder), () => [])) {
      if (name.endsWith(".json") && !files.has(name)) files.set(name, join(folder, name))
    }
  }
  const inOrder = [...files].toSorted(([one], [other]) => (one < other ? -1 : 1))
  // One that is empty is how an administrator takes back another's; one of a later QEMU may say what is not known here.
  return yield* Effect.forEach(inOrder, ([, file]) =>
    fs
      .readFileString(file)
      .pipe(Effect.flatMap(Schema.decode(Descriptor)), Effect.map(firmwareOf), Effect.orElseSucceed(Option.none))
  )
})

const isReadable = ({ code, variables }: Firmware): Effect.Effect<boolean, never, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.isSuccess(Effect.all([code, variables].map((file) => fs.access(file, { readable: true }))))
  )

const missing: Missing = {
  reason: "this host has no UEFI firmware for it",
  hint: "Install it: `sudo apt install ovmf` on Debian and Ubuntu, edk2-ovmf on Fedora and Arch; QEMU from Homebrew has it."
}

const unreadable = ({ code, variables }: Firmware): Missing => ({
  reason: `${code} and ${variables}, which are named as its firmware, are not both there and readable`,
  hint: "Correct the option `firmware` of Qemu.layer, or leave it out: what is installed is found."
})
