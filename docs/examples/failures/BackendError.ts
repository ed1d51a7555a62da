import { type Backend, type BackendError, Kvm, Qemu } from "capsa"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** KVM where it works, QEMU where it is only emulated; anything else has to be mended first. */
export const backend: Layer.Layer<Backend.Backend, BackendError> = Kvm.layer.pipe(
  Layer.catchAll((error) =>
    error.reason === "Emulated"
      ? Layer.tap(Qemu.layer(), () => Effect.logInfo(`using QEMU: ${error.message}`))
      : Layer.fail(error)
  )
)
