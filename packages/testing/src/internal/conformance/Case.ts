/** What a case of the catalogue is. */
import type { Backend, Capabilities, Feature, VmConfig } from "@capsa/core"
import { Vm } from "capsa"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** What a backend may claim, by the name of its field in the capabilities. */
export type Claim =
  | `kernels.${Capabilities["kernels"][number]}`
  | `consoles.${Capabilities["consoles"][number]}`
  | `discovery.${Capabilities["discovery"][number]}`
  | "maxCpus"
  | "maxMemoryMib"
  | "pause"
  | "powerButton"
  | "panicNotifier"
  | `features.${Feature}`

/**
 * A guest that every backend under test can boot.
 *
 * @category models
 */
export interface ConformanceGuest {
  /** Paths of kernels by kind; virtio, ACPI and a console are built in. */
  readonly kernels: Readonly<Partial<Record<Capabilities["kernels"][number], string>>>
  /** Has capsa's agent as its init, busybox, and the prompt `capsa# ` on its console. */
  readonly initrd: string
  /** A raw disk from which UEFI firmware starts a Linux with that prompt, on a serial console; for backends with firmware. */
  readonly uefiDisk?: string | undefined
  /** Whether its shell is one; the script of a simulated guest only knows a few commands. */
  readonly isLinux: boolean
  /** How long it may take to come up, and to do what is small. */
  readonly patience: Duration.DurationInput
}

/** What a case is given. */
export interface Setting {
  readonly guest: ConformanceGuest
  readonly capabilities: Capabilities
  /** A `boot` of the guest that the backend claims to have. */
  readonly boot: NonNullable<VmConfig["boot"]>
  /** An empty folder. */
  readonly folder: string
  /** A TAP device of the host, if there is one. */
  readonly tapDevice: string | undefined
}

type Work<A> = Effect.Effect<A, unknown, Backend | Scope.Scope>

/** A machine that asks for something, and what shows that it has it. */
export interface Case {
  readonly name: string
  /** What it proves; absent for what every backend has to do. */
  readonly claim?: Claim
  /** Whether only a real Linux can show it. */
  readonly needsLinux?: boolean
  readonly prove: (setting: Setting) => Work<unknown>
}

/** The prompt of the guest's shell. */
export const prompt = "capsa# "

/** Launches a machine and waits for its shell, in whose output the kernel then says nothing more. */
export const booted = (setting: Setting, config: VmConfig = {}) =>
  Vm.launch({ boot: setting.boot, memory: "256MiB", ...config }).pipe(
    Effect.tap(({ console }) => console.expect(prompt, { timeout: setting.guest.patience })),
    Effect.tap((vm) => (setting.guest.isLinux ? done(setting, vm, "dmesg -n 1") : Effect.void))
  )

/** What a command prints; one that fails fails. */
export const done = ({ guest }: Setting, vm: Vm.Vm, command: string) =>
  vm.console.run(command, { prompt, timeout: guest.patience }).pipe(
    Effect.filterOrFail(
      ({ exitCode }) => exitCode === 0,
      ({ exitCode, output }) => new Error(`${command} exits with ${exitCode}: ${output}`)
    ),
    Effect.map(({ output }) => output.trim())
  )

/** Fails unless two values are the same, by JSON. */
export const same = (what: string, is: unknown, wanted: unknown): Effect.Effect<void, Error> =>
  JSON.stringify(is) === JSON.stringify(wanted)
    ? Effect.void
    : Effect.fail(new Error(`${what}: ${JSON.stringify(is)} instead of ${JSON.stringify(wanted)}`))

/** Succeeds with the error, and fails where there is none. */
export const refused = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<E, Error, R> =>
  Effect.flip(Effect.flatMap(effect, () => Effect.succeed(what))).pipe(
    Effect.mapError(() => new Error(`${what} is not refused`))
  )
