/** The guest that capsa prepares itself: a kernel of the distribution, as it is or built small, and our init. */
import { type BuiltinBoot, type Capabilities, type GuestImages, VmBootError } from "@capsa/core"
import { Architecture, type Cache, type GuestError, GuestImages as Images } from "@capsa/guest"
import * as BunContext from "@effect/platform-bun/BunContext"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The tiny one takes minutes to build, so it is only taken by itself when that has been done. */
const preferred = Effect.flatMap(
  Images.built,
  ({ tiny }): Effect.Effect<Images.GuestImage, GuestError.GuestError, Cache.BuildContext> =>
    Option.match(tiny, { onNone: () => Images.debian, onSome: Effect.succeed })
)

/** The tiny kernel for arm64 has the drivers that KVM's machines need: none for PCI, and for no serial port but a 16550. */
const isTinyFit = ({ architectures, serialPort }: Capabilities): boolean =>
  architectures[0] !== "arm64" || serialPort === undefined

const byName = { debian: Images.debian, tiny: Images.tinyOfTarget }

/** What kernels of both guests are. */
const kernelKinds = { x86_64: "bzImage", arm64: "Image" } as const

/**
 * The images of the built-in guest, built or fetched if they are not in the cache yet: that can take a minute, and several for
 * "tiny".
 *
 * @category constructors
 */
export const images = Effect.fn("BuiltinGuest.images")(function* (
  capabilities: Capabilities,
  guest?: BuiltinBoot["guest"]
) {
  const { architectures, kernels } = capabilities
  const target = architectures[0] ?? Architecture.host
  if (!kernels.includes(kernelKinds[target])) return yield* noKernelFor(kernels)
  const fits = isTinyFit(capabilities)
  if (guest === "tiny" && !fits) return yield* tinyUnfit
  const { initrd, kernel } = yield* (guest === undefined ? (fits ? preferred : Images.debian) : byName[guest]).pipe(
    Effect.provideService(Architecture.Target, target),
    Effect.mapError(unavailable),
    Effect.provide(BunContext.layer)
  )
  // The distribution's kernel has virtio-console as a module only: too late for its own messages.
  return { kernel, initrd, console: "serial" } satisfies GuestImages
})

/** What it means to a machine. */
export const unavailable = (error: GuestError.GuestError): VmBootError =>
  new VmBootError({
    reason: "GuestUnavailable",
    detail: `The built-in guest could not be prepared: ${error.message}`,
    hint: `${error.hint}, or name a kernel of your own: boot: { kernel, initrd }.`,
    subject: error.subject,
    cause: error
  })

const tinyUnfit = new VmBootError({
  reason: "Unsupported",
  detail: "The tiny guest's kernel for arm64 has no drivers for this backend's machines.",
  hint: 'Take the other one: boot: { guest: "debian" }.'
})

const noKernelFor = (kernels: Capabilities["kernels"]): VmBootError =>
  new VmBootError({
    reason: "Unsupported",
    detail: `The built-in guest has no kernel of the kinds that this backend boots: ${kernels.join(", ")}.`,
    hint: "Name a kernel of your own: boot: { kernel, initrd }."
  })
