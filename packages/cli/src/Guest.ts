/** `capsa guest`: the images of the built-in guest. */
import { VmBootError } from "@capsa/core"
import { Updating } from "@capsa/guest/Cache"
import * as GuestImages from "@capsa/guest/GuestImages"
import * as GuestInfo from "@capsa/guest/GuestInfo"
import * as StatusLine from "@capsa/guest/StatusLine"
import * as BunContext from "@effect/platform-bun/BunContext"
import { unavailable } from "capsa/BuiltinGuest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Output, Stdio } from "./Stdio.ts"
import * as Style from "./Style.ts"

/** The images of the built-in guest. */
export const imageNames = ["tiny", "debian"] as const
type ImageName = (typeof imageNames)[number]

const Paths = Schema.Struct({ kernel: Schema.String, initrd: Schema.String })

/** What `capsa guest build --json` and `capsa guest path --json` print: those images that are there. @category models */
export const GuestPaths = Schema.Struct({ tiny: Schema.optional(Paths), debian: Schema.optional(Paths) })
/** @category models */
export type GuestPaths = typeof GuestPaths.Type

/** What `capsa guest info --json` prints. @category models */
export const GuestReport = GuestInfo.GuestInfo
/** @category models */
export type GuestReport = typeof GuestReport.Type

interface GuestOptions {
  readonly action: "build" | "info" | "path"
  /** Both if absent. */
  readonly image: ImageName | undefined
  readonly update: boolean
  readonly json: boolean
}

const isWanted = ({ image }: GuestOptions, name: ImageName) => image === undefined || image === name

const pathsOf = ({ initrd, kernel }: GuestImages.GuestImage) => ({ kernel, initrd })

const build = Effect.fnUntraced(function* (options: GuestOptions) {
  return {
    ...(isWanted(options, "tiny") && { tiny: pathsOf(yield* GuestImages.tinyOfTarget) }),
    ...(isWanted(options, "debian") && { debian: pathsOf(yield* GuestImages.debian) })
  } satisfies GuestPaths
})

/** Of what is built already. */
const path = Effect.fnUntraced(function* (options: GuestOptions) {
  const { debian, tiny } = yield* GuestImages.built
  const found: GuestPaths = {
    ...(isWanted(options, "tiny") && Option.isSome(tiny) && { tiny: pathsOf(tiny.value) }),
    ...(isWanted(options, "debian") && Option.isSome(debian) && { debian: pathsOf(debian.value) })
  }
  if (found.tiny !== undefined || found.debian !== undefined) return found
  const detail = `The built-in guest is not there yet${options.image === undefined ? "" : ` as ${options.image}`}.`
  const hint = `Build it: capsa guest build ${options.image ?? ""}`.trimEnd()
  return yield* new VmBootError({ reason: "GuestUnavailable", detail, hint })
})

const pathsToText = (paths: GuestPaths): string =>
  imageNames
    .flatMap((name) => Object.entries(paths[name] ?? {}).map(([part, path]) => `${name.padEnd(6)}  ${part}  ${path}\n`))
    .join("")

/** "904 KiB", "18.9 MiB". */
const size = (bytes: number): string =>
  bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`

const imageToText = (name: ImageName, image: GuestInfo.ImageInfo, output: Output<unknown>): string => {
  const { faint, strong } = Style.of(output)
  const { agent, busybox, initrd, kernel } = image
  const row = (what: string, { bytes }: { readonly bytes: number }, more: string) =>
    `  ${what.padEnd(7)}  ${size(bytes).padStart(8)}  ${faint(more)}\n`
  return [
    `${strong(name)}  Linux ${kernel.release}\n`,
    row("kernel", kernel, kernel.path),
    row("initrd", initrd, initrd.path),
    row("agent", agent, agent.version),
    row("busybox", busybox, busybox.source.split(" ")[0] ?? "")
  ].join("")
}

const infoToText = (info: GuestReport, output: Output<unknown>): string => {
  const images = imageNames.flatMap((name) => {
    const image = info[name]
    return image === undefined ? [] : [imageToText(name, image, output)]
  })
  return images.length === 0 ? `Nothing is built yet in ${info.cache}.\n` : images.join("\n")
}

const perform = Effect.fnUntraced(function* (options: GuestOptions) {
  const { stdout } = yield* Stdio
  if (options.action === "info") {
    const info = yield* GuestInfo.info
    if (!options.json) return infoToText(info, stdout)
    return `${JSON.stringify(yield* Effect.orDie(Schema.encode(GuestReport)(info)))}\n`
  }
  const paths = yield* options.action === "build" ? build(options) : path(options)
  return options.json ? `${JSON.stringify(paths)}\n` : pathsToText(paths)
})

/** The verb. */
export const guest = Effect.fn("guest")(function* (options: GuestOptions) {
  const { stdout } = yield* Stdio
  const text = yield* perform(options).pipe(
    Effect.provideService(Updating, options.update),
    Effect.provide(StatusLine.layer),
    Effect.provide(BunContext.layer),
    Effect.catchTag("GuestError", (error) => unavailable(error))
  )
  yield* stdout.write(text)
})
