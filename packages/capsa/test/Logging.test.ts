import { describe, expect, test } from "bun:test"
import { live } from "@capsa/testing"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as Logging from "../src/Logging.ts"

/** Runs an effect with a logger, and gives what that made of each line. */
const linesOf = <Output>(effect: Effect.Effect<unknown>, logger: Logger.Logger<unknown, Output>): Array<Output> => {
  const lines: Array<Output> = []
  const keeper = Logger.make<unknown, void>((line) => void lines.push(logger.log(line)))
  const logs = Layer.merge(Logger.replace(Logger.defaultLogger, keeper), Logger.minimumLogLevel(LogLevel.All))
  Effect.runSync(Effect.provide(effect, logs))
  return lines
}

const decode = Schema.decodeSync(Schema.parseJson(Logging.LogLine))

const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true })
const message = fc.oneof(
  fc.string({ unit: "binary" }),
  anything,
  fc.string().map((text) => new Error(text)),
  fc.constant(Symbol("a symbol"))
)

describe("any line", () => {
  const cases = fc.record({
    level: fc.constantFrom(...LogLevel.allLevels),
    messages: fc.array(message, { maxLength: 3 }),
    annotations: fc.dictionary(fc.string({ unit: "binary" }), anything, { maxKeys: 4 }),
    span: fc.string(),
    cause: fc.option(message)
  })
  const logs = (format: Logging.LogFormat, check: (line: string) => void) =>
    fc.assert(
      fc.property(cases, ({ annotations, cause, level, messages, span }) => {
        const line = Effect.logWithLevel(level, ...messages, ...(cause === null ? [] : [Cause.fail(cause)])).pipe(
          Effect.annotateLogs(annotations),
          Effect.withLogSpan(span)
        )
        for (const text of linesOf(line, Logging.make({ format }))) check(text)
      }),
      { numRuns: 500 }
    )

  test("in json is one line that the schema decodes", () => {
    logs("json", (text) => {
      expect(text).not.toContain("\n")
      expect(decode(text).level).toBeOneOf([...Logging.Level.literals])
    })
  })

  test("in logfmt is one line of pairs", () => {
    logs("logfmt", (text) => {
      expect(text).toMatch(/^timestamp=\S+ level=\w+ component=/)
      expect(text).toMatch(/^([^\s="]*=("([^"\\]|\\.)*"|[^\s"=]*)( |$))+$/u)
    })
  })

  test("can be shown to people", () => {
    logs("pretty", (text) => expect(text).toContain("component="))
  })
})

describe("what is logged", () => {
  const line = Effect.logWarning("launch failed:", "again", new TypeError("no paper")).pipe(
    Effect.annotateLogs({ "vm.id": "1", message: "lost", request: 7, big: 7n, of: { a: [1] } })
  )

  test("is told in full by json", () => {
    const [text = ""] = linesOf(line, Logging.make({ format: "json" }))
    expect(JSON.parse(text)).toEqual({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      level: "warn",
      component: "app",
      message: "launch failed: again",
      "vm.id": "1",
      request: 7,
      big: "7",
      of: '{"a":[1]}',
      "error.type": "TypeError",
      "error.message": "no paper"
    })
  })

  test("is told by logfmt with the same fields", () => {
    const [text] = linesOf(line, Logging.make({ format: "logfmt" }))
    expect(text).toContain(' level=warn component=app message="launch failed: again" ')
    expect(text).toContain(' of="{\\"a\\":[1]}"')
    expect(text).toContain(' error.message="no paper"')
  })

  test("is told to people with words first, and the rest painted", () => {
    const [text] = linesOf(line, Logging.make({ format: "pretty", faint: (rest) => `<${rest}>` }))
    expect(text).toMatch(/^warn: launch failed: again: no paper <.*component=app.*>$/)
  })
})

describe("a filter", () => {
  const parse = Schema.decodeEither(Logging.LogFilter)

  test("is written as levels and components", () => {
    expect(parse("info, console=DEBUG,pool=warning")).toEqual(
      Either.right({ level: "info", components: { console: "debug", pool: "warn" } })
    )
  })

  test("comes back as it was", () => {
    const threshold = fc.constantFrom(...Logging.LogThreshold.literals)
    const filters = fc.record({
      level: threshold,
      components: fc.dictionary(fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9._-]{0,9}$/), threshold)
    })
    fc.assert(
      fc.property(filters, (filter) => {
        expect(parse(Schema.encodeSync(Logging.LogFilter)(filter))).toEqual(Either.right(filter))
      })
    )
  })

  test("that cannot be read says which part, and what there is", () => {
    for (const [text, part] of [
      ["loud", "loud"],
      ["info,console", "console"],
      ["info,=debug", "=debug"],
      ["info,console=debug=trace", "console=debug=trace"],
      ["info,", ""]
    ] as const) {
      expect(Either.mapLeft(parse(text), (error) => error.message)).toMatchObject({
        left: expect.stringContaining(`"${part}" is none of levels (trace, debug`)
      })
    }
  })

  test("holds back what is below the level of its component, or else below the general one", () => {
    const logger = Logging.filtered(Logging.make(), { level: "warn", components: { console: "debug", pool: "off" } })
    const logged = (level: LogLevel.LogLevel, component: string) =>
      linesOf(Effect.annotateLogs(Effect.logWithLevel(level, "text"), { component }), logger)[0] !== undefined
    expect([logged(LogLevel.Info, "vm"), logged(LogLevel.Warning, "vm")]).toEqual([false, true])
    expect([logged(LogLevel.Trace, "console"), logged(LogLevel.Debug, "console")]).toEqual([false, true])
    expect(logged(LogLevel.Fatal, "pool")).toBe(false)
  })
})

describe("the layer", () => {
  /** What reaches standard error under an environment, line by line; nothing may go elsewhere. */
  const written = (environment: Readonly<Record<string, string>>, options?: Logging.LoggingOptions) =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const elsewhere = () => {
        throw new Error("the log belongs to standard error")
      }
      const console = yield* Console.consoleWith(Effect.succeed)
      const spy = {
        ...console,
        unsafe: { ...console.unsafe, log: elsewhere, error: (line: string) => void lines.push(line) }
      }
      yield* Effect.logDebug("detail").pipe(
        Effect.annotateLogs("component", "console"),
        Effect.zipRight(Effect.logDebug("quiet")),
        Effect.zipRight(Effect.logInfo("news")),
        Effect.provide(Logging.layer(options)),
        Effect.withConsole(spy),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
      )
      return lines
    })

  live("writes info and above as logfmt, if nothing else is said", () =>
    Effect.gen(function* () {
      for (const environment of [{}, { CAPSA_LOG: "", CAPSA_LOG_FORMAT: "" }]) {
        const lines = yield* written(environment)
        expect(lines).toEqual([expect.stringMatching(/^timestamp=\S+ level=info component=app message=news$/)])
      }
    })
  )

  live("has what the program says for defaults", () =>
    Effect.gen(function* () {
      expect(yield* written({}, { level: "warn" })).toEqual([])
      expect(yield* written({}, { format: "pretty" })).toEqual(["news component=app"])
    })
  )

  live("obeys the environment before the program", () =>
    Effect.gen(function* () {
      const lines = yield* written({ CAPSA_LOG: "error,console=debug", CAPSA_LOG_FORMAT: "json" }, { format: "pretty" })
      expect(lines.map((line) => decode(line).message)).toEqual(["detail"])
    })
  )

  live("says in a line of its own what it cannot read, and goes on", () =>
    Effect.gen(function* () {
      const lines = yield* written({ CAPSA_LOG: "console:debug", CAPSA_LOG_FORMAT: "xml" }, { format: "json" })
      expect(lines.map((line) => decode(line))).toMatchObject([
        {
          component: "logging",
          level: "warn",
          message: expect.stringContaining('CAPSA_LOG is ignored: "console:debug"')
        },
        {
          component: "logging",
          level: "warn",
          message: 'CAPSA_LOG_FORMAT is ignored: "xml" is none of pretty, json, logfmt'
        },
        { message: "news" }
      ])
    })
  )
})
