import { Failure, Vm, type VmConfig } from "capsa"
import * as Effect from "effect/Effect"

/** Falls back to half the memory where the host is short of it, and keeps what a guest said that did not come up. */
export const launchModestly = (config: VmConfig, memoryMib: number) =>
  Vm.launch({ ...config, memory: memoryMib }).pipe(
    Effect.catchIf(
      (error) => error._tag === "VmBootError" && error.reason === "HostResources",
      () => Vm.launch({ ...config, memory: memoryMib / 2 })
    ),
    Effect.tapErrorTag("VmBootError", (error) => Effect.logError(Failure.pretty(error, { verbose: true })))
  )
