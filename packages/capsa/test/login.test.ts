import { describe, expect } from "bun:test"
import type { ConsoleError, MachineError } from "@capsa/core"
import { effect, Simulated } from "@capsa/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import type { LoginOptions } from "../src/Console.ts"
import * as Vm from "../src/Vm.ts"

const on =
  (guest: Simulated.Script) =>
  <A, E, R>(body: Effect.Effect<A, E, R>) =>
    Effect.provide(body, Simulated.layer({ guest }))

const password = "correct horse"

/** A getty: prints what comes before the prompt, and has one user. */
const getty =
  (options: {
    readonly before?: ReadonlyArray<string>
    readonly after?: ReadonlyArray<string>
    readonly asks?: boolean
    readonly echoes?: boolean
    readonly shell?: ReadonlyArray<string>
  }): Simulated.Script =>
  ({ print, readLine }) =>
    Effect.gen(function* () {
      const say = (texts: ReadonlyArray<string>) =>
        Effect.forEach(texts, (text) => Effect.zipRight(print(text), Effect.sleep(1)))
      while (true) {
        yield* say([...(options.before ?? []), "\r\ncapsa login: ", ...(options.after ?? [])])
        const user = yield* readLine
        yield* say([`${user}\r\n`])
        if (options.asks !== false) {
          yield* say(["Passw", "ord: "])
          const given = yield* readLine
          yield* say(["\r\n", options.echoes === true ? `${given}\r\n` : ""])
          if (user !== "me" || given !== password) {
            yield* Effect.zipRight(Effect.sleep("3 seconds"), say(["Login incorrect\r\n"]))
            continue
          }
        }
        yield* say(["Last login: ", "Mon Nov 23 on ttyS0\r\n", ...(options.shell ?? ["me@capsa:~$ "])])
        const line = yield* readLine
        yield* say([`<${line}>`])
        return yield* Effect.never
      }
    })

/** Logs in while time passes. */
const login = (vm: Vm.Vm, options: Partial<LoginOptions> = {}) =>
  passing(vm.console.login({ user: "me", password, timeout: "1 minute", ...options }))

const passing = <A>(effect: Effect.Effect<A, ConsoleError | MachineError>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    const clock = yield* Effect.fork(Effect.forever(TestClock.adjust("200 millis")))
    return yield* Effect.ensuring(Fiber.join(fiber), Fiber.interrupt(clock))
  })

describe("login", () => {
  effect("answers what a getty asks, and consumes it all", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* login(vm)
      yield* vm.console.writeLine("whoami")
      expect(yield* passing(vm.console.expect("<whoami>"))).toMatchObject({ before: "" })
    }).pipe(on(getty({ before: ["Debian GNU/Linux", " 12\r\n"] })))
  )

  effect("takes the prompt that stands there, waited for or not, with what the kernel and services said since", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* passing(vm.console.expect("capsa login: "))
      yield* TestClock.adjust("10 seconds")
      yield* login(vm, { password: Redacted.make(password) })
    }).pipe(
      on(
        getty({
          after: ["[   12.345678] random: crng ", "init done\r\n[  OK  ] Started \u001b[0;1;39mcron\u001b[0m.\r\n"]
        })
      )
    )
  )

  effect("needs no password where none is asked for", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* login(vm, { password: undefined })
    }).pipe(on(getty({ asks: false, shell: ["\u001b[32m~ ", "# \u001b[0m"] })))
  )

  effect("waits for the prompt that it is told", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      yield* login(vm, { prompt: /router\d> / })
      yield* vm.console.writeLine("x")
      expect(yield* passing(vm.console.expect("<x>"))).toMatchObject({ before: "" })
    }).pipe(on(getty({ shell: ["costs: 5$ ", "a month\r\n", "router1> "] })))
  )

  effect("says when the guest refuses, and can try again", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const error = yield* Effect.flip(login(vm, { password: "wrong" }))
      expect(error).toMatchObject({
        _tag: "ConsoleError",
        reason: "LoginIncorrect",
        retryable: false,
        message: 'The guest refused to log "me" in.'
      })
      expect(error.hint).not.toBe("")
      yield* login(vm)
    }).pipe(on(getty({})))
  )

  effect("after a time-out leaves all to be read", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const error = yield* Effect.flip(login(vm, { prompt: "never" }))
      expect(error).toMatchObject({ reason: "Timeout", pattern: "the prompt of a shell" })
      expect(yield* vm.console.expect("login: ")).toMatchObject({ before: "\r\ncapsa " })
    }).pipe(on(getty({})))
  )

  effect("refuses what would press other keys, and types nothing", () =>
    Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      for (const options of [{ user: "me\rrm" }, { user: "\u0003" }, { password: "a\nb" }, { password: "\ud800" }]) {
        const error = yield* Effect.flip(login(vm, options))
        expect(error).toMatchObject({ reason: "InvalidInput" })
        expect(JSON.stringify(error)).not.toContain("a\\nb")
      }
      yield* login(vm)
    }).pipe(on(getty({})))
  )

  effect("keeps the password out of errors, logs and spans, even if the guest shows it", () => {
    const told: Array<string> = []
    const tell = (what: unknown) => void told.push(Bun.inspect(what, { depth: 10 }))
    const logger = Logger.replace(Logger.defaultLogger, Logger.make(tell))
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind, options) => {
        const span: Tracer.Span = {
          _tag: "Span",
          name,
          parent,
          context,
          links: [...links],
          kind,
          spanId: name,
          traceId: "trace",
          sampled: true,
          attributes: new Map(Object.entries(options?.attributes ?? {})),
          status: { _tag: "Started", startTime },
          attribute: (key, value) => tell({ key, value }),
          event: (name, _, attributes) => tell({ name, attributes }),
          addLinks: tell,
          end: (_, exit) => tell({ name, exit })
        }
        return span
      },
      context: (execute) => execute()
    })
    return Effect.gen(function* () {
      const vm = yield* Vm.launch({})
      const error = yield* Effect.flip(login(vm, { prompt: "never" }))
      expect(error).toMatchObject({ reason: "Timeout", received: expect.stringContaining("<redacted>") })
      yield* Effect.logError("failed", error)
      tell(error)
      const all = told.join("\n")
      expect(all).toContain("Console.login")
      expect(all).toContain("<redacted>")
      expect(all).not.toContain(password)
    }).pipe(
      on(getty({ echoes: true })),
      Effect.provide(Layer.merge(logger, Logger.minimumLogLevel(LogLevel.All))),
      Effect.withTracer(tracer)
    )
  })
})
