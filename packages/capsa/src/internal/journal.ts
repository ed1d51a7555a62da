import { type BootStage, BootStageName, type VmExit, type VmStatus } from "@capsa/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Vm } from "../Vm.ts"

/** Everything that changes, in one value, so that what is seen of it never contradicts itself. */
interface State {
  readonly status: VmStatus
  /** In the order in which they became known. */
  readonly stages: ReadonlyArray<BootStage>
}

/** What a machine is doing and how far it came: written by its fibers, read by everybody. */
export interface Journal extends Pick<Vm, "status" | "statusChanges" | "stages" | "stageChanges"> {
  /** Notes a stage, unless it was noted before. */
  readonly reach: (stage: BootStage) => Effect.Effect<void>
  readonly reachNow: (name: BootStageName) => Effect.Effect<void>
  readonly paused: Effect.Effect<void>
  readonly resumed: Effect.Effect<void>
  readonly stopping: Effect.Effect<void>
  readonly ended: (exit: VmExit) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function* (millisSinceLaunch: Effect.Effect<number>) {
  const state = yield* SubscriptionRef.make<State>({ status: { _tag: "Running" }, stages: [] })

  /** A change that comes too late, such as a pause that a kill overtook, changes nothing. */
  const change = (status: VmStatus, ...from: ReadonlyArray<VmStatus["_tag"]>) =>
    SubscriptionRef.update(state, (now) => (from.includes(now.status._tag) ? { ...now, status } : now))

  const reach = (stage: BootStage) =>
    SubscriptionRef.update(state, (now) =>
      now.stages.some(({ name }) => name === stage.name) ? now : { ...now, stages: [...now.stages, stage] }
    )

  return {
    status: Effect.map(SubscriptionRef.get(state), ({ status }) => status),
    statusChanges: state.changes.pipe(
      Stream.map(({ status }) => status),
      Stream.changes,
      Stream.takeUntil(({ _tag }) => _tag === "Ended")
    ),
    stages: Effect.map(SubscriptionRef.get(state), ({ stages }) => stages.toSorted(inBootOrder)),
    stageChanges: state.changes.pipe(
      Stream.takeUntil(({ status }) => status._tag === "Ended"),
      Stream.mapAccum(0, (seen, { stages }) => [stages.length, stages.slice(seen)]),
      Stream.flattenIterables
    ),
    reach,
    reachNow: (name) => Effect.flatMap(millisSinceLaunch, (atMs) => reach({ name, atMs })),
    paused: change({ _tag: "Paused" }, "Running"),
    resumed: change({ _tag: "Running" }, "Paused"),
    stopping: change({ _tag: "Stopping" }, "Running", "Paused"),
    ended: (exit) => change({ _tag: "Ended", exit }, "Running", "Paused", "Stopping")
  } satisfies Journal
})

const inBootOrder = (a: BootStage, b: BootStage): number =>
  BootStageName.literals.indexOf(a.name) - BootStageName.literals.indexOf(b.name)

/** Milliseconds from now on, by the clock in force. */
export const stopwatch = Effect.map(Clock.currentTimeNanos, (start) =>
  Effect.map(Clock.currentTimeNanos, (now) => Number(now - start) / 1e6)
)
