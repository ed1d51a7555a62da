/** What machine the options of `capsa run` describe, and what runs it. */
import type { Backend, BackendError, VmConfig } from "@capsa/core"
import * as StatusLine from "@capsa/guest/StatusLine"
import { Backend as Backends, GuestImage } from "capsa"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { networkOf } from "./network.ts"
import type { RunOptions } from "./options.ts"

export const layerOf = (name: RunOptions["backend"]): Layer.Layer<Backend, BackendError> =>
  Backends.candidates.find((candidate) => candidate.name === name)?.layer ?? Backends.auto

export const configOf = ({
  kernel,
  guest,
  initrd,
  cmdline,
  firmware,
  variables,
  disk,
  share,
  cpus,
  memory,
  name,
  limit,
  ...network
}: RunOptions): VmConfig => ({
  boot:
    kernel !== undefined
      ? { kernel, initrd, cmdline }
      : firmware !== undefined
        ? { firmware, variables }
        : guest && { guest },
  disks: disk,
  shares: share,
  network: networkOf(network),
  cpus,
  memory,
  name,
  limits: limit
})

/** Preparing the built-in guest shows on a terminal how far it is. */
export const withProgress = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(GuestImage, ({ images }) =>
    Effect.provideService(effect, GuestImage, {
      images: (...asked) => Effect.provide(images(...asked), StatusLine.layer)
    })
  )
