/**
 * Who is where in a pool. Every change is one synchronous step, so no fiber sees one half done. As long as somebody waits,
 * nothing is idle: a newcomer never overtakes.
 */
import type { PoolError } from "@capsa/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Vm } from "../Vm.ts"

/** What a machine of the pool is doing. `retiring`: it is being destroyed. */
export const phases = ["launching", "idle", "inUse", "resetting", "retiring"] as const
export type Phase = (typeof phases)[number]

/** The place of one machine among `max`. */
export interface Slot {
  phase: Phase
}

/** What an acquirer did with a machine that it was given. */
export type Return = "used" | "untouched"

/** A machine to be given to one acquirer, once. */
export interface Lease {
  readonly vm: Vm
  readonly slot: Slot
  readonly taken: Deferred.Deferred<void>
  readonly returned: Deferred.Deferred<Return>
}

/** An acquirer in the queue. */
export interface Waiter {
  /** Place in the order of all acquirers: one who was given a machine that had died gets it back. */
  readonly ticket: number
  readonly given: Deferred.Deferred<Lease, PoolError>
}

export type Roster = ReturnType<typeof make>

/** `onChange` hears of every number that changes. */
export const make = (min: number, max: number, onChange: (what: Phase | "waiting", count: number) => void) => {
  const counts: Record<Phase, number> = { launching: 0, idle: 0, inUse: 0, resetting: 0, retiring: 0 }
  /** The one that has been idle for the shortest time is last, and is taken first: the others may then age. */
  const idle: Array<Lease> = []
  const waiters: Array<Waiter> = []
  let closed = false

  const size = () => phases.reduce((sum, phase) => sum + counts[phase], 0)
  const count = (phase: Phase, change: 1 | -1) => {
    counts[phase] += change
    onChange(phase, counts[phase])
  }
  const queueChanged = () => onChange("waiting", waiters.length)

  const move = (slot: Slot, phase: Phase) => {
    count(slot.phase, -1)
    slot.phase = phase
    count(phase, 1)
  }

  const handOver = (lease: Lease) => {
    move(lease.slot, "inUse")
    Deferred.unsafeDone(lease.taken, Effect.void)
    return lease
  }

  /** Sends those who wait longest away, at most so many. */
  const disappoint = (error: PoolError, atMost = waiters.length) => {
    for (const { given } of waiters.splice(0, atMost)) Deferred.unsafeDone(given, Effect.fail(error))
    queueChanged()
  }

  return {
    counts: () => ({ ...counts, size: size(), waiting: waiters.length }),
    isClosed: () => closed,
    /** Nothing is missing from now on. */
    close: (error: PoolError) => {
      closed = true
      disappoint(error)
    },

    add: (): Slot => {
      count("launching", 1)
      return { phase: "launching" }
    },
    move,
    remove: (slot: Slot) => count(slot.phase, -1),

    /** How many launches are wanted and have room. */
    missing: (): number => {
      if (closed) return 0
      const wanted = Math.max(min - (size() - counts.retiring), waiters.length - counts.launching)
      return Math.min(wanted, max - size())
    },
    /** Whether there is one more than the pool must keep. */
    isExcess: (): boolean => size() - counts.retiring > min,

    /** Gives a machine to the one who waits longest, or lets it be idle. */
    offer: (lease: Lease) => {
      const waiter = waiters.shift()
      if (waiter !== undefined) {
        queueChanged()
        Deferred.unsafeDone(waiter.given, Effect.succeed(handOver(lease)))
        return
      }
      idle.push(lease)
      move(lease.slot, "idle")
    },
    take: (): Lease | undefined => {
      const lease = idle.pop()
      return lease === undefined ? undefined : handOver(lease)
    },
    /** Takes an idle machine out to be destroyed; false if somebody has taken it before. */
    withdraw: (lease: Lease): boolean => {
      const index = idle.indexOf(lease)
      if (index < 0) return false
      idle.splice(index, 1)
      move(lease.slot, "retiring")
      return true
    },

    wait: (waiter: Waiter) => {
      waiters.splice(waiters.findLastIndex(({ ticket }) => ticket < waiter.ticket) + 1, 0, waiter)
      queueChanged()
    },
    /** Leaves the queue; false if the waiter was called before. */
    leave: (waiter: Waiter): boolean => {
      const index = waiters.indexOf(waiter)
      if (index < 0) return false
      waiters.splice(index, 1)
      queueChanged()
      return true
    },
    disappoint
  }
}

export const makeLease = (vm: Vm, slot: Slot): Effect.Effect<Lease> =>
  Effect.map(Effect.all([Deferred.make<void>(), Deferred.make<Return>()]), ([taken, returned]) => ({
    vm,
    slot,
    taken,
    returned
  }))

/** Whether a machine can be given away. One that is stopping is as good as gone. */
export const isUp = (vm: Vm): Effect.Effect<boolean> =>
  Effect.map(vm.status, ({ _tag }) => _tag === "Running" || _tag === "Paused")
