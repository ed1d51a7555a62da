import type { Vm } from "capsa"
import * as Effect from "effect/Effect"

/** Stops a machine's processors for a minute; one that has ended by itself is no failure. */
export const rest = (vm: Vm.Vm) =>
  vm.pause.pipe(
    Effect.zipRight(Effect.sleep("1 minute")),
    Effect.zipRight(vm.resume),
    Effect.catchTag("MachineError", (error) =>
      error.reason === "NotRunning"
        ? Effect.flatMap(vm.wait, ({ _tag }) => Effect.logInfo(`the machine has ended: ${_tag}`))
        : error
    )
  )
