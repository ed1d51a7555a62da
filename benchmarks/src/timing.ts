/** Times calls within this process. */
import * as Effect from "effect/Effect"
import { Bench } from "tinybench"
import { percentile, type Row } from "./report.ts"

export interface Task {
  readonly name: string
  readonly call: () => unknown
  /** Calls in one sample, where one call is shorter than the clock can tell; 1 if absent. */
  readonly callsInSample?: number
  /** The name of the task that this one is compared with. */
  readonly peer?: string
}

const repeated = (call: () => unknown, calls: number) =>
  calls === 1
    ? call
    : () => {
        for (let turn = 0; turn < calls; turn++) call()
      }

/** A row for each task, in microseconds a call. */
export const time = (tasks: ReadonlyArray<Task>): Effect.Effect<ReadonlyArray<Row>> =>
  Effect.gen(function* () {
    const bench = new Bench({ warmupTime: 200, time: 500 })
    for (const { name, call, callsInSample = 1 } of tasks) bench.add(name, repeated(call, callsInSample))
    yield* Effect.promise(() => bench.run())
    const rows = tasks.flatMap(({ name, callsInSample = 1, peer }) => {
      const result = bench.getTask(name)?.result
      if (result?.state !== "completed") return []
      const microseconds = (milliseconds: number) => (milliseconds * 1000) / callsInSample
      const { samples, p50, p99, samplesCount } = result.latency
      return [
        {
          name,
          unit: "µs",
          samples: samplesCount,
          p50: microseconds(p50 ?? percentile(samples ?? [], 0.5)),
          p99: microseconds(p99 ?? percentile(samples ?? [], 0.99)),
          peer
        }
      ]
    })
    return rows.map(({ peer, ...row }) => {
      const other = rows.find(({ name }) => name === peer)
      return other === undefined ? row : { ...row, peer: other.name, ratio: row.p50 / other.p50 }
    })
  })
