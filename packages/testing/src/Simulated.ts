/**
 * A backend whose guests are scripts. No hypervisor, no files, and no time but that of the clock in force, so tests with
 * `TestClock` run a minute of machine time in no time.
 */
import {
  Backend,
  type BackendError,
  type BootStageName,
  type Capabilities,
  type KernelPlan,
  type MachineError,
  noFeatures,
  type VmBootError,
  type VmExit
} from "@capsa/core"
import { onlyKernel } from "@capsa/core/BootPlan"
import { GuestImage } from "capsa/GuestImage"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type LinuxOptions, linux, linuxWith } from "./internal/linux.ts"
import { boot } from "./internal/simulatedMachine.ts"

/** What the script of a guest can do. @category models */
export interface Guest {
  readonly plan: KernelPlan
  /** Writes to the console; waits while nobody takes what was written, and while the machine is paused. */
  readonly print: (data: string | Uint8Array) => Effect.Effect<void>
  /** The next line that was typed, without its end: a carriage return or line feed. */
  readonly readLine: Effect.Effect<string>
  /** Completes when the power button has been pressed. */
  readonly powerButton: Effect.Effect<void>
}

/**
 * A guest: how it ends is how the machine ends; one that dies of a defect ends it as `Failed`. It is interrupted when the
 * machine is killed, which does not wait for it.
 *
 * @category models
 */
export type Script = (guest: Guest) => Effect.Effect<VmExit>

/** @category models */
export interface SimulatedOptions {
  /** What runs in each machine; {@link linux} if absent. */
  readonly guest?: Script | undefined
  /** Happens in `boot` before each stage: takes its time, or fails. */
  readonly beforeStage?:
    | ((stage: SimulatedStage, plan: KernelPlan) => Effect.Effect<void, BackendError | VmBootError>)
    | undefined
  /** Happens before a machine does what it is told: takes its time, or refuses. */
  readonly beforeOperation?:
    | ((operation: SimulatedOperation, plan: KernelPlan) => Effect.Effect<void, MachineError>)
    | undefined
  /** Happens between the end of a machine, a kill included, and the report of it: takes its time. */
  readonly beforeExit?: ((exit: VmExit, plan: KernelPlan) => Effect.Effect<void>) | undefined
  /** What this backend can do, where it differs from the usual. */
  readonly capabilities?: Partial<Capabilities> | undefined
}

/** The stages that a backend sees. @category models */
export type SimulatedStage = Extract<BootStageName, "created" | "loaded" | "started">

/** What a machine can be told to do, except `kill`, which never fails. @category models */
export type SimulatedOperation = "powerOff" | "pause" | "resume"

/** Counts the machines of a simulated backend. @category tags */
export class Machines extends Context.Tag("@capsa/testing/Machines")<
  Machines,
  {
    /** Machines that were begun. */
    readonly begun: Effect.Effect<number>
    /** Machines that hold something: begun and not freed. */
    readonly alive: Effect.Effect<number>
  }
>() {}

/** All that a backend can be capable of. */
export const capabilities: Capabilities = {
  architectures: ["x86_64"],
  kernels: ["bzImage", "vmlinux"],
  consoles: ["serial", "virtio"],
  discovery: ["firmware", "cmdline"],
  maxCpus: 64,
  maxMemoryMib: 1024 * 1024,
  pause: true,
  powerButton: true,
  panicNotifier: false,
  features: noFeatures("a simulated machine has a console and nothing else")
}

export { type LinuxOptions, linux, linuxWith }

/**
 * The simulated backend, with a built-in guest that needs no files.
 *
 * @category layers
 */
export const layer = (options: SimulatedOptions = {}): Layer.Layer<Backend | GuestImage | Machines> =>
  Layer.effectContext(
    Effect.sync(() => {
      const alive = new Set<string>()
      let begun = 0
      const count = Effect.acquireRelease(
        Effect.sync(() => {
          begun++
          const machine = `${begun}`
          alive.add(machine)
          return machine
        }),
        (machine) => Effect.sync(() => alive.delete(machine))
      )
      return Context.make(Backend, {
        name: "simulated",
        description: "simulated machines",
        capabilities: { ...capabilities, ...options.capabilities },
        passedOver: [],
        boot: (plan) => Effect.flatMap(onlyKernel(plan), (plan) => Effect.zipRight(count, boot(plan, options)))
      }).pipe(
        Context.add(Machines, { begun: Effect.sync(() => begun), alive: Effect.sync(() => alive.size) }),
        Context.add(GuestImage, {
          images: () => Effect.succeed({ kernel: "/simulated/kernel", initrd: "/simulated/initrd", console: "virtio" })
        })
      )
    })
  )
