import { Vm, type VmPool } from "capsa"
import * as Effect from "effect/Effect"

/** A machine of the pool; a new one where the pool has none to give, but not where none can be launched. */
export const anyMachine = (pool: VmPool.VmPool) =>
  pool.acquire.pipe(
    Effect.timeout("30 seconds"),
    Effect.catchTags({
      TimeoutException: () => Vm.launch({ memory: "256MiB" }),
      PoolError: (error) => (error.retryable ? Vm.launch({ memory: "256MiB" }) : Effect.fail(error))
    })
  )
