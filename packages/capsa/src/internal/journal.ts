import { type BootStage, BootStageName, type VmStatus } from "@capsa/core"
import { mayFollow } from "@capsa/core/VmStatus"
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
  /**
   * Goes to a state if it may follow the one at hand, and tells whether it did: a change that comes too late, such as a
   * pause that a kill overtook, changes nothing.
   */
  readonly enter: (status: VmStatus) => Effect.Effect<boolean>
}

/** `report` is told each stage, once. */
export const make = Effect.fnUntraced(function* (
  millisSinceLaunch: Effect.Effect<number>,
  report: (stage: BootStage) => Effect.Effect<void>
) {
  const state = yield* SubscriptionRef.make<State>({ status: { _tag: "Running" }, stages: [] })

  const reach = (stage: BootStage) =>
    SubscriptionRef.modify(state, (now) =>
      now.stages.some(({ name }) => name === stage.name)
        ? [Effect.void, now]
        : [report(stage), { ...now, stages: [...now.stages, stage] }]
    ).pipe(Effect.flatten)

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
    enter: (status) =>
      SubscriptionRef.modify(state, (now) =>
        mayFollow(now.status._tag, status._tag) ? [true, { ...now, status }] : [false, now]
      )
  } satisfies Journal
})

const inBootOrder = (a: BootStage, b: BootStage): number =>
  BootStageName.literals.indexOf(a.name) - BootStageName.literals.indexOf(b.name)

/** Milliseconds from now on, by the clock in force. */
export const stopwatch = Effect.map(Clock.currentTimeNanos, (start) =>
  Effect.map(Clock.currentTimeNanos, (now) => Number(now - start) / 1e6)
)
