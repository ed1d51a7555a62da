import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Vm, type VmConfig } from "capsa"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** Launches a machine all the same where the state folder is not ours, with one that nobody else knows of. */
export const launch = (config: VmConfig) =>
  Vm.launch(config).pipe(
    Effect.catchTag("StateError", (error) => {
      const folder = mkdtempSync(join(tmpdir(), "capsa-"))
      const variables = ConfigProvider.fromMap(new Map([["CAPSA_STATE_DIR", folder]])).pipe(
        ConfigProvider.orElse(ConfigProvider.fromEnv)
      )
      return Effect.logWarning(`using ${folder}: ${error.message}`).pipe(
        Effect.zipRight(Effect.withConfigProvider(Vm.launch(config), variables))
      )
    })
  )
