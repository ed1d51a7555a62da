import { PoolError, type VmError, type VmExit } from "@capsa/core"
import * as Predicate from "effect/Predicate"

export const closed = new PoolError({
  reason: "Closed",
  detail: "The pool is closed.",
  hint: "Acquire machines inside the scope in which the pool was made."
})

export const invalid = (field: string, detail: string, hint: string): PoolError =>
  new PoolError({ reason: "Invalid", field, detail, hint })

/** A launch failed, after all that `Vm.launch` has tried. */
export const launchFailed = (cause: VmError): PoolError => {
  // A guest may do so once in a while, on a busy host above all.
  if (cause.reason === "GuestEnded" || cause.reason === "Timeout") return notReady(cause)
  return new PoolError({
    reason: cause.retryable ? "LaunchFailed" : "Unlaunchable",
    detail: `A machine of the pool could not be launched: ${cause.message}`,
    hint: cause.hint,
    cause
  })
}

/** A machine came up, and `ready` did not succeed. */
export const notReady = (cause: unknown): PoolError =>
  new PoolError({
    reason: "NotReady",
    detail: `A machine of the pool did not become ready: ${Predicate.isError(cause) ? cause.message : String(cause)}`,
    hint:
      Predicate.hasProperty(cause, "hint") && Predicate.isString(cause.hint)
        ? cause.hint
        : `${launchOutside}, and see what \`ready\` meets there.`,
    cause
  })

/** A machine came up and ended before anybody could use it. */
export const endedEarly = (exit: VmExit): PoolError =>
  new PoolError({
    reason: "NotReady",
    detail: `A machine of the pool ended before it was used: ${"detail" in exit ? exit.detail : exit._tag}`,
    hint: `${launchOutside}, and read its console.`
  })

export const broken = (defect: unknown): PoolError =>
  new PoolError({
    reason: "Unlaunchable",
    detail: `Launching a machine of the pool threw: ${Predicate.isError(defect) ? defect.message : String(defect)}`,
    hint: "Look whether `ready` throws instead of failing; else this is a fault of capsa's.",
    cause: defect
  })

const launchOutside = "Launch a machine with the same configuration outside the pool"
