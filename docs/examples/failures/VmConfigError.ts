import { Vm, type VmConfig } from "capsa"
import * as Effect from "effect/Effect"

/** Launches what somebody else wrote down, and tells them everything that is wrong with it. */
export const launchFor = (config: VmConfig, tell: (line: string) => Effect.Effect<void>) =>
  Vm.launch(config).pipe(
    Effect.tapErrorTag("VmConfigError", ({ problems }) =>
      Effect.forEach(problems, ({ path, detail, hint }) => tell(`${path}: ${detail} ${hint}`))
    )
  )
