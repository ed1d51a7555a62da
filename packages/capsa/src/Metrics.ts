/**
 * What machines count and time, as Effect metrics: names, units and labels in the manner of OpenTelemetry. They are in Effect's
 * global registry; `@capsa/telemetry` shows them to Prometheus and OpenTelemetry.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/** @category models */
export interface Definition {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  readonly description: string
  /** In the notation of UCUM; `1` for what is only counted. */
  readonly unit: "1" | "s" | "By"
  /** Each label, and what its values are. None has a value for each machine: the number of series stays small. */
  readonly labels: Readonly<Record<string, string>>
}

const backend = { "vm.backend": "`kvm`, `qemu`, …" }

/** What is known of each. @category models */
export const definitions = {
  launches: {
    name: "capsa.vm.launches",
    kind: "counter",
    description: "Launches that are over, tried again or not",
    unit: "1",
    labels: {
      ...backend,
      outcome: "`success`, `failure`, `interrupted`",
      "error.type": "of a failure, its class and reason: `VmBootError.Timeout`"
    }
  },
  stageDuration: {
    name: "capsa.vm.stage.duration",
    kind: "histogram",
    description: "How long a boot took from the stage before (the first: from the call of the backend) to this one",
    unit: "s",
    labels: { ...backend, "vm.stage": "`created`, `loaded`, `started`, `kernel`, `init`" }
  },
  running: {
    name: "capsa.vm.running",
    kind: "gauge",
    description: "Machines that have been booted and have not ended",
    unit: "1",
    labels: backend
  },
  exits: {
    name: "capsa.vm.exits",
    kind: "counter",
    description: "Machines that have ended",
    unit: "1",
    labels: { ...backend, "vm.exit": "how: `PowerOff`, `Reboot`, `Panic`, `Killed`, `OutOfMemory`, `Failed`" }
  },
  consoleBytes: {
    name: "capsa.console.bytes",
    kind: "counter",
    description: "Console output, counted whenever 64 KiB have come and at a machine's end",
    unit: "By",
    labels: backend
  },
  consoleLost: {
    name: "capsa.console.lost",
    kind: "counter",
    description: "Console output that a backend had to drop or a reader was too slow for, counted at a machine's end",
    unit: "By",
    labels: { ...backend, "lost.by": "`backend`, `reader`" }
  }
} as const satisfies Record<string, Definition>

/** Effect's metrics have no field for a unit; its bridge to OpenTelemetry takes it from this tag. */
const inUnit =
  (unit: Definition["unit"]) =>
  <Type, In, Out>(metric: Metric.Metric<Type, In, Out>): Metric.Metric<Type, In, Out> =>
    unit === "1" ? metric : Metric.tagged(metric, "unit", unit)

const counter = ({ description, name, unit }: Definition): Metric.Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true }).pipe(inUnit(unit))

/** In seconds: from the half of a millisecond that a monitor takes for a step, to minutes of a guest under emulation. */
const durations = MetricBoundaries.fromIterable([
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300
])

/** @category metrics */
export const launches = counter(definitions.launches)
/** @category metrics */
export const stageDuration = Metric.histogram(
  definitions.stageDuration.name,
  durations,
  definitions.stageDuration.description
).pipe(inUnit(definitions.stageDuration.unit))
/** @category metrics */
export const running = Metric.gauge(definitions.running.name, { description: definitions.running.description })
/** @category metrics */
export const exits = counter(definitions.exits)
/** @category metrics */
export const consoleBytes = counter(definitions.consoleBytes)
/** @category metrics */
export const consoleLost = counter(definitions.consoleLost)
