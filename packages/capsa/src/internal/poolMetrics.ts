/** What a pool counts and times: for its own `stats`, and as Effect metrics with the label `pool`. */
import * as Duration from "effect/Duration"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type { Tally } from "../VmPool.ts"
import type { Phase } from "./poolRoster.ts"

const hits = Metric.counter("capsa_pool_hits_total", {
  description: "Acquirers that were served at once",
  incremental: true
})
const misses = Metric.counter("capsa_pool_misses_total", {
  description: "Acquirers that found no idle machine",
  incremental: true
})
const launchFailures = Metric.counter("capsa_pool_launch_failures_total", {
  description: "Machines that did not come up, or did not become ready",
  incremental: true
})
const machines = Metric.gauge("capsa_pool_machines", { description: "Machines of the pool, by what they are doing" })
const waiting = Metric.gauge("capsa_pool_waiting", { description: "Acquirers in the queue" })

/** 1 ms to 65 s, in milliseconds. */
const boundaries = MetricBoundaries.exponential({ start: 1, factor: 2, count: 17 })
const waits = Metric.histogram(
  "capsa_pool_wait_milliseconds",
  boundaries,
  "How long acquirers that were served later waited"
)
const spawns = Metric.histogram(
  "capsa_pool_spawn_milliseconds",
  boundaries,
  "How long machines took to come up and become ready"
)

export type PoolMetrics = ReturnType<typeof make>

export const make = (pool: string) => {
  const labelled = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>) => Metric.tagged(metric, "pool", pool)
  const inState = (phase: Phase) => Metric.tagged(labelled(machines), "state", phase)
  const gauges = {
    launching: inState("launching"),
    idle: inState("idle"),
    inUse: inState("inUse"),
    resetting: inState("resetting"),
    retiring: inState("retiring"),
    waiting: labelled(waiting)
  }
  const counter = (metric: Metric.Metric.Counter<number>) => {
    const tagged = labelled(metric)
    let count = 0
    return {
      count: () => count,
      add: () => {
        count++
        tagged.unsafeUpdate(1, [])
      }
    }
  }
  const timer = (metric: Metric.Metric.Histogram<number>) => {
    const tagged = labelled(metric)
    let tally: Tally = { count: 0, totalMs: 0, maxMs: 0 }
    return {
      tally: () => tally,
      add: (time: Duration.Duration) => {
        const ms = Duration.toMillis(time)
        tally = { count: tally.count + 1, totalMs: tally.totalMs + ms, maxMs: Math.max(tally.maxMs, ms) }
        tagged.unsafeUpdate(ms, [])
      }
    }
  }
  const figures = {
    hits: counter(hits),
    misses: counter(misses),
    launchFailures: counter(launchFailures),
    waits: timer(waits),
    spawns: timer(spawns)
  }
  return {
    ...figures,
    figures: () => ({
      hits: figures.hits.count(),
      misses: figures.misses.count(),
      launchFailures: figures.launchFailures.count(),
      waits: figures.waits.tally(),
      spawns: figures.spawns.tally()
    }),
    gauge: (what: keyof typeof gauges, count: number) => gauges[what].unsafeUpdate(count, [])
  }
}
