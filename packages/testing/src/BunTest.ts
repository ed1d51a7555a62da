/** Effects as tests of `bun:test`. A test fails with the effect's error, and closes its scope. */
import { afterAll, describe, test } from "bun:test"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import * as TestContext from "effect/TestContext"
import type * as TestServices from "effect/TestServices"

/** Defines a test; `timeoutMs` is real time. @category models */
export interface Tester<R> {
  (name: string, body: () => Effect.Effect<unknown, unknown, R>, timeoutMs?: number): void
  /** Defines a test that is skipped if the condition holds; its name should say why. */
  readonly skipIf: (
    condition: boolean
  ) => (name: string, body: () => Effect.Effect<unknown, unknown, R>, timeoutMs?: number) => void
}

type Run<R> = (effect: Effect.Effect<unknown, unknown, R>) => Promise<Exit.Exit<unknown, unknown>>

const makeTester = <R>(run: Run<R>): Tester<R> => {
  const define =
    (define: typeof test) =>
    (name: string, body: () => Effect.Effect<unknown, unknown, R>, timeoutMs?: number): void =>
      define(name, () => run(Effect.suspend(body)).then(throwFailure), timeoutMs)
  return Object.assign(define(test), { skipIf: (condition: boolean) => define(test.skipIf(condition)) })
}

const throwFailure = (exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
}

/** With `TestClock`: time passes only when the test says so. @category constructors */
export const effect: Tester<TestServices.TestServices | Scope.Scope> = makeTester((body) =>
  Effect.runPromiseExit(body.pipe(Effect.scoped, Effect.provide(TestContext.TestContext)))
)

/** With the real clock. @category constructors */
export const live: Tester<Scope.Scope> = makeTester((body) => Effect.runPromiseExit(Effect.scoped(body)))

/** Tests that share a layer, built with the first and released after the last. @category constructors */
export const layer =
  <R, E>(shared: Layer.Layer<R, E>) =>
  (
    name: string,
    define: (it: {
      readonly effect: Tester<R | TestServices.TestServices | Scope.Scope>
      readonly live: Tester<R | Scope.Scope>
    }) => void
  ): void => {
    describe(name, () => {
      const runtime = ManagedRuntime.make(shared)
      afterAll(() => runtime.dispose())
      define({
        effect: makeTester((body) =>
          runtime.runPromiseExit(body.pipe(Effect.scoped, Effect.provide(TestContext.TestContext)))
        ),
        live: makeTester((body) => runtime.runPromiseExit(Effect.scoped(body)))
      })
    })
  }
