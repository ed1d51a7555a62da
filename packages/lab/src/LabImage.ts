/**
 * Kernel and initrd of the lab machine.
 *
 * @since 0.1.0
 */

import { retryWithFreshLists } from "@capsa/guest/Apt"
import * as Architecture from "@capsa/guest/Architecture"
import * as Cache from "@capsa/guest/Cache"
import * as Debian from "@capsa/guest/Debian"
import * as Initrd from "@capsa/guest/Initrd"
import * as KernelModules from "@capsa/guest/KernelModules"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { LabError } from "./LabError.ts"
import * as LabRoot from "./LabRoot.ts"

/**
 * Paths of the distribution's kernel for `Architecture.Target`, of an initrd whose init runs `/lab/command`, which the
 * caller appends as another archive, and of the file system in which it does; "" stands for the host's own. Built on
 * first use, then taken from the cache.
 *
 * @since 0.1.0
 * @category images
 */
export const image = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const target = yield* Architecture.Target
  const init = yield* fs.readFile(initFile)
  const recipe = [Initrd.revision, ...modules[target], Buffer.from(init).toString()]
  const image = yield* Cache.remembered("lab", recipe, LabImage, retryWithFreshLists(build(target, init)))
  return { ...image, root: target === Architecture.host ? "" : yield* LabRoot.arm64 }
}).pipe(
  Effect.mapError((cause) =>
    cause._tag === "LabError"
      ? cause
      : new LabError({
          reason: "ImageUnavailable",
          subject: cause.message,
          hint: cause._tag === "GuestError" ? cause.hint : "check that CAPSA_CACHE_DIR is writable and has space",
          cause
        })
  )
)

const LabImage = Schema.Struct({ kernel: Schema.String, initrd: Schema.String })

const build = Effect.fnUntraced(function* (target: Architecture.Architecture, init: Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const kernel = yield* Debian.kernel
  const busybox = yield* Debian.busybox
  const inputs = [Initrd.revision, ...modules[target], kernel.identity, busybox.identity, Buffer.from(init).toString()]
  const folder = yield* Cache.entry("lab-initrd", inputs, (folder) =>
    Effect.gen(function* () {
      const archive = Initrd.encode({
        init,
        busybox: yield* fs.readFile(busybox.program),
        modules: yield* KernelModules.closure(kernel.modules, modules[target])
      })
      yield* fs.writeFile(path.join(folder, "initrd"), archive)
    })
  )
  return { kernel: kernel.kernel, initrd: path.join(folder, "initrd") }
})

const initFile = Bun.fileURLToPath(new URL("../initrd/init", import.meta.url))

/** Kernels for arm64 have KVM built in. */
const modules: Readonly<Record<Architecture.Architecture, ReadonlyArray<string>>> = {
  x86_64: ["virtio_pci", "virtiofs", "virtio_console", "overlay", "kvm-amd", "tun", "vhost_vsock", "vhost_net"],
  arm64: ["virtio_pci", "virtiofs", "virtio_console", "overlay", "tun", "vhost_vsock", "vhost_net"]
}
