/** What a machine's life leaves in the log and the trace: on simulated machines and in virtual time. */
import { describe, expect } from "bun:test"
import type { VmConfig } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import * as Logging from "../src/Logging.ts"
import * as Vm from "../src/Vm.ts"

/** Runs an effect with a clock that goes on by itself, and gives all lines that it wrote. */
const observed = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const json = Logging.make({ format: "json" })
    const keeper = Logger.make<unknown, void>((line) => void lines.push(json.log(line)))
    const running = yield* body.pipe(
      Effect.provide(Layer.merge(Logger.replace(Logger.defaultLogger, keeper), Logger.minimumLogLevel(LogLevel.All))),
      Effect.fork
    )
    yield* TestClock.adjust("1 minute")
    const value = yield* Fiber.join(running)
    return { value, lines }
  })

const simulated = Simulated.layer({
  beforeStage: (stage) => Effect.sleep({ created: 1000, loaded: 2000, started: 4000 }[stage]),
  guest: Simulated.linuxWith({ kernelAfter: 8000, initAfter: 16_000 })
})

/** A machine that comes up, is asked for what does not come, paused, let go on and stopped. */
const aLife = (config: VmConfig = {}) =>
  Effect.gen(function* () {
    const vm = yield* Vm.launch({ name: "seen", readyTimeout: "1 minute", ...config })
    yield* Effect.flip(vm.console.expect("nothing such", { timeout: "1 second" }))
    yield* vm.pause
    yield* vm.resume
    yield* vm.stop()
    return vm
  }).pipe(Effect.scoped)

const machineLine = Schema.decodeSync(Schema.parseJson(Logging.MachineLogLine))

describe("the log", () => {
  effect("has the machine and one correlation id on every line", () =>
    Effect.gen(function* () {
      const { lines, value: vm } = yield* observed(aLife())
      const decoded = lines.map((line) => machineLine(line))
      expect(decoded.map(({ message }) => message)).toEqual([
        "machine started",
        "reached created after 1000 ms",
        "reached loaded after 3000 ms",
        "reached started after 7000 ms",
        "reached kernel after 15000 ms",
        "reached init after 31000 ms",
        "expect failed",
        "machine ended: PowerOff"
      ])
      expect(new Set(decoded.map((line) => line["vm.id"]))).toEqual(new Set([vm.id]))
      expect(new Set(decoded.map((line) => line["correlation.id"])).size).toBe(1)
      expect(decoded[0]).toMatchObject({
        "vm.name": "seen",
        "vm.backend": "simulated",
        component: "vm",
        level: "debug"
      })
      expect(decoded[6]).toMatchObject({ component: "console", "error.type": "ConsoleError.Timeout" })
    }).pipe(Effect.provide(simulated))
  )

  effect("takes the correlation id from the caller: its annotation, else its trace", () =>
    Effect.gen(function* () {
      const ids = (lines: ReadonlyArray<string>) => lines.map((line) => machineLine(line)["correlation.id"])
      const annotated = yield* observed(Effect.annotateLogs(aLife(), "correlation.id", "order-7"))
      expect(new Set(ids(annotated.lines))).toEqual(new Set(["order-7"]))
      const span = Tracer.externalSpan({ spanId: "1".repeat(16), traceId: "a".repeat(32) })
      const traced = yield* observed(Effect.withParentSpan(aLife(), span))
      expect(new Set(ids(traced.lines))).toEqual(new Set([span.traceId]))
      const untraced = yield* observed(Effect.withTracerEnabled(aLife(), false))
      expect(new Set(ids(untraced.lines)).size).toBe(1)
      expect(ids(untraced.lines)[0]).toMatch(/^[0-9a-f-]{36}$/)
    }).pipe(Effect.provide(simulated))
  )

  effect("gives an operation the id of who asks for it, and the machine's own doings that of the launch", () =>
    Effect.gen(function* () {
      const { lines } = yield* observed(
        Effect.gen(function* () {
          const vm = yield* Vm.launch({ readyTimeout: "1 minute" }).pipe(
            Effect.annotateLogs("correlation.id", "launch")
          )
          const expected = Effect.flip(vm.console.expect("nothing such", { timeout: "1 second" }))
          yield* expected
          yield* Effect.annotateLogs(expected, "correlation.id", "look")
          yield* vm.stop()
        }).pipe(Effect.scoped)
      )
      const told = lines.map((line) => machineLine(line)).map((line) => [line.message, line["correlation.id"]])
      expect(told.slice(-3)).toEqual([
        ["expect failed", "launch"],
        ["expect failed", "look"],
        ["machine ended: PowerOff", "launch"]
      ])
    }).pipe(Effect.provide(simulated))
  )
})

/** A tracer that keeps the spans that have ended. */
const keepingTracer = () => {
  const ended: Array<Tracer.Span> = []
  let count = 0
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const id = `${++count}`.padStart(16, "0")
      const traceId = parent._tag === "Some" ? parent.value.traceId : id.repeat(2)
      const span: Tracer.Span & { status: Tracer.SpanStatus } = {
        _tag: "Span",
        name,
        parent,
        context,
        links,
        kind,
        sampled: true,
        spanId: id,
        traceId,
        attributes,
        status: { _tag: "Started", startTime },
        attribute: (key, value) => void attributes.set(key, value),
        event: () => {},
        addLinks: () => {},
        end: (endTime, exit) => {
          span.status = { _tag: "Ended", startTime, endTime, exit }
          ended.push(span)
        }
      }
      return span
    },
    context: (execute) => execute()
  })
  return { tracer, ended }
}

const secondsOf = ({ status }: Tracer.Span) => {
  const end = status._tag === "Ended" ? status.endTime : status.startTime
  return [Number(status.startTime / 1_000_000n) / 1000, Number(end / 1_000_000n) / 1000]
}

describe("the trace", () => {
  effect("has the launch with a child for each stage, as long as the stage was", () =>
    Effect.gen(function* () {
      const { ended, tracer } = keepingTracer()
      const { value: vm } = yield* observed(Effect.withTracer(aLife({ readyTimeout: undefined }), tracer))
      const launch = ended.find(({ name }) => name === "Vm.launch")
      const stages = ended.filter(({ name }) => name.startsWith("Vm.launch."))
      expect(launch && secondsOf(launch)).toEqual([0, 7])
      expect(stages.slice(0, 3).map((span) => [span.attributes.get("vm.stage"), ...secondsOf(span)])).toEqual([
        ["created", 0, 1],
        ["loaded", 1, 3],
        ["started", 3, 7]
      ])
      for (const span of stages) expect(span.parent).toMatchObject({ value: { spanId: launch?.spanId } })
      for (const name of ["Vm.launch", "Vm.launch.created", "Vm.plan", "Console.expect", "Vm.pause", "Vm.stop"]) {
        const span = ended.find((each) => each.name === name)
        expect([name, span?.attributes.get("vm.id")]).toEqual([name, vm.id])
      }
    }).pipe(Effect.provide(simulated))
  )

  effect("has stages that come when the launch is over as its children", () =>
    Effect.gen(function* () {
      const { ended, tracer } = keepingTracer()
      const life = Effect.gen(function* () {
        const vm = yield* Vm.launch({})
        yield* vm.console.expect("capsa: init")
      }).pipe(Effect.scoped)
      yield* observed(Effect.withTracer(life, tracer))
      const launch = ended.find(({ name }) => name === "Vm.launch")
      const late = ended.filter(({ name }) => ["Vm.launch.kernel", "Vm.launch.init"].includes(name))
      expect(late.map(secondsOf)).toEqual([
        [7, 15],
        [15, 31]
      ])
      for (const span of late) expect(span.parent).toMatchObject({ value: { spanId: launch?.spanId } })
    }).pipe(Effect.provide(simulated))
  )
})
