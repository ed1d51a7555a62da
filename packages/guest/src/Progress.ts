/**
 * How long work tells what it is doing.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Receives a short phrase whenever a build enters another stage, or gets on within one. Silent unless a program
 * provides its own.
 *
 * @since 0.1.0
 * @category references
 */
export class Progress extends Context.Reference<Progress>()("@capsa/guest/Progress", {
  defaultValue: (): { readonly stage: (phrase: string) => Effect.Effect<void> } => ({ stage: () => Effect.void })
}) {}

/**
 * Reports a stage to the `Progress` in force.
 *
 * @since 0.1.0
 * @category reporting
 */
export const stage = (phrase: string): Effect.Effect<void> => Effect.flatMap(Progress, (_) => _.stage(phrase))
