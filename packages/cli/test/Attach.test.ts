import { describe, expect } from "bun:test"
import { copyInput, copyOutput } from "@capsa/cli/Attach"
import { Stdio, StdioError } from "@capsa/cli/Stdio"
import { effect, Simulated } from "@capsa/testing"
import { Vm } from "capsa"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"

const bytes = (text: string) => new TextEncoder().encode(text)
const textOf = (chunks: ReadonlyArray<string | Uint8Array>) =>
  chunks.map((chunk) => Buffer.from(chunk).toString()).join("")

/** Streams of a terminal or a pipe: what is typed comes from `input`, what is shown lands in `shown`. */
const streams = (isTerminal: boolean, input: Stream.Stream<Uint8Array, StdioError>) => {
  const shown: Array<string | Uint8Array> = []
  const raw: Array<"on" | "off"> = []
  const take = (data: string | Uint8Array) => Effect.sync(() => void shown.push(data))
  const output = { isTerminal, colours: false, columns: 80, write: take }
  const stdio = {
    terminal: { size: Effect.succeed({ columns: 80, rows: 24 }), sizeChanges: Stream.never },
    stdin: {
      isTerminal,
      bytes: input,
      raw: Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => raw.push("on")),
          () => Effect.sync(() => raw.push("off"))
        )
      )
    },
    stdout: output,
    stderr: { ...output, write: () => Effect.void }
  }
  return { raw, shown, stdio, output }
}

/** Reads lines and repeats them until one says "end". */
const parrot: Simulated.Script = ({ print, readLine }) =>
  Effect.gen(function* () {
    yield* print("Run /init as init process\r\n")
    while (true) {
      const line = yield* readLine
      yield* print(`<${line}>`)
      if (line === "end") return { _tag: "PowerOff" } as const
    }
  })

const withGuest = <A, E, R>(guest: Simulated.Script, body: Effect.Effect<A, E, R>) =>
  Effect.provide(body, Simulated.layer({ guest }))

describe("output", () => {
  effect("is all there, from the first byte, however it is cut", () => {
    const { output, shown } = streams(true, Stream.empty)
    const pieces = Array.from({ length: 300 }, (_, index) => `${index} `.repeat(index % 7))
    const talker: Simulated.Script = ({ print }) =>
      Effect.as(Effect.forEach(pieces, print, { discard: true }), { _tag: "PowerOff" } as const)
    return withGuest(
      talker,
      Effect.gen(function* () {
        const vm = yield* Vm.launch({})
        // The machine speaks before somebody listens.
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        expect(yield* copyOutput(vm, output)).toBe(0)
        expect(textOf(shown)).toBe(pieces.join(""))
      })
    )
  })

  effect("that a reader is too slow for is counted, and the machine ends all the same", () => {
    const total = 64 * 1024
    const flood: Simulated.Script = ({ print }) =>
      Effect.as(Effect.repeatN(print("x".repeat(1024)), total / 1024 - 1), { _tag: "PowerOff" } as const)
    return withGuest(
      flood,
      Effect.gen(function* () {
        const { output, shown } = streams(false, Stream.empty)
        const opened = yield* Deferred.make<void>()
        const vm = yield* Vm.launch({ console: { historyBytes: 4096 } })
        const slow = {
          ...output,
          write: (data: string | Uint8Array) => Deferred.await(opened).pipe(Effect.zipRight(output.write(data)))
        }
        const copy = yield* Effect.fork(copyOutput(vm, slow))
        expect(yield* vm.wait).toEqual({ _tag: "PowerOff" })
        yield* Deferred.succeed(opened, undefined)
        const lost = yield* Fiber.join(copy)
        expect(lost).toBeGreaterThan(0)
        expect(textOf(shown).length + lost).toBe(total)
      })
    )
  })

  effect("that nobody reads any more is an error", () =>
    withGuest(
      Simulated.linux,
      Effect.gen(function* () {
        const { output } = streams(false, Stream.empty)
        const closed = new StdioError({ reason: "Closed", stream: "stdout", errno: "EPIPE" })
        const vm = yield* Vm.launch({})
        expect(yield* Effect.flip(copyOutput(vm, { ...output, write: () => closed }))).toBe(closed)
      })
    )
  )
})

describe("a terminal", () => {
  effect("types keys until Ctrl-] is pressed, and is as it was", () =>
    Effect.gen(function* () {
      const heard = yield* Deferred.make<void>()
      const keys = Stream.concat(
        Stream.make(bytes("on"), bytes("e\r")),
        Stream.fromEffect(Effect.as(Deferred.await(heard), bytes("tw\u001do\r")))
      )
      const { raw, stdio } = streams(true, Stream.concat(keys, Stream.make(bytes("three\r"))))
      yield* withGuest(
        parrot,
        Effect.gen(function* () {
          const vm = yield* Vm.launch({})
          const typing = yield* Effect.fork(Effect.scoped(copyInput(vm)))
          yield* vm.console.expect("<one>")
          expect(raw).toEqual(["on"])
          yield* Deferred.succeed(heard, undefined)
          yield* Fiber.join(typing)
          expect(raw).toEqual(["on", "off"])
          yield* vm.console.write("end\r")
          yield* vm.wait
          expect(Buffer.from(yield* vm.console.history).toString()).toEndWith("<one><end>")
        })
      ).pipe(Effect.provideService(Stdio, stdio))
    })
  )

  effect("can be left while the guest takes no input", () => {
    const { stdio } = streams(true, Stream.make(bytes("a"), bytes("b"), bytes("\u001d")))
    return withGuest(
      Simulated.linux,
      Effect.gen(function* () {
        const vm = yield* Vm.launch({})
        const deaf = { ...vm, console: { ...vm.console, write: () => Effect.never } }
        yield* Effect.scoped(copyInput(deaf))
      })
    ).pipe(Effect.provideService(Stdio, stdio))
  })

  effect("that goes away leaves too", () => {
    const { raw, stdio } = streams(true, Stream.make(bytes("x")))
    return withGuest(
      parrot,
      Effect.gen(function* () {
        const vm = yield* Vm.launch({})
        yield* Effect.scoped(copyInput(vm))
        expect(raw).toEqual(["on", "off"])
      })
    ).pipe(Effect.provideService(Stdio, stdio))
  })
})

describe("a pipe", () => {
  effect("is typed once init runs, and its end leaves the machine running", () => {
    const { raw, stdio } = streams(false, Stream.make(bytes("one\r")))
    return Effect.gen(function* () {
      const booting = yield* Deferred.make<void>()
      const heard: Array<string> = []
      const guest: Simulated.Script = ({ print, readLine }) =>
        Effect.gen(function* () {
          yield* print("Linux version 6\r\n")
          const early = yield* Effect.fork(Effect.tap(readLine, (line) => Effect.sync(() => heard.push(line))))
          yield* Deferred.await(booting)
          expect(heard).toEqual([])
          yield* print("capsa: init\r\n")
          yield* Fiber.join(early)
          yield* print("<heard>")
          return yield* Effect.never
        })
      yield* withGuest(
        guest,
        Effect.gen(function* () {
          const vm = yield* Vm.launch({})
          const typing = yield* Effect.fork(Effect.scoped(copyInput(vm)))
          yield* vm.console.expect("Linux version")
          yield* TestClock.adjust("1 hour")
          yield* Deferred.succeed(booting, undefined)
          yield* vm.console.expect("<heard>")
          expect(heard).toEqual(["one"])
          expect(yield* Fiber.poll(typing)).toMatchObject({ _tag: "None" })
          expect(raw).toEqual([])
        })
      )
    }).pipe(Effect.provideService(Stdio, stdio))
  })

  effect("reaches a kernel that doesn't tell of its init when that falls silent", () => {
    const { stdio } = streams(false, Stream.make(bytes("end\r")))
    const quiet: Simulated.Script = ({ print, readLine }) =>
      Effect.gen(function* () {
        yield* Effect.fork(Effect.flatMap(readLine, (line) => print(`<${line}>`)))
        yield* Effect.repeatN(Effect.zipRight(print("."), Effect.sleep("4 seconds")), 9)
        yield* print("silent from here")
        return yield* Effect.never
      })
    return withGuest(
      quiet,
      Effect.gen(function* () {
        // Any file that is there: a simulated machine boots none.
        const vm = yield* Vm.launch({ boot: { kernel: import.meta.path } })
        yield* Effect.fork(Effect.scoped(copyInput(vm)))
        yield* Effect.fork(Effect.repeatN(TestClock.adjust("1 second"), 39))
        const { before } = yield* vm.console.expect("silent from here")
        expect(before).toBe("..........")
        yield* Effect.fork(TestClock.adjust("5 seconds"))
        yield* vm.console.expect("<end>")
      })
    ).pipe(Effect.provideService(Stdio, stdio))
  })
})
