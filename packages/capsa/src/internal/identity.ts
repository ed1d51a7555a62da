/** Whose doing a log line or a span is. */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

/** What all lines and spans of a machine say of it; what its metrics say is `vm.backend`. */
export interface Identity {
  readonly "vm.id": string
  readonly "vm.name": string
  readonly "vm.backend": string
}

const key = "correlation.id"

/** What a span is called that is not traced; its trace is none. */
const untraced = "noop"

/** What the caller logs with, or else what it is traced by. */
const ofCaller: Effect.Effect<Option.Option<unknown>> = Effect.zipWith(
  Effect.logAnnotations,
  Effect.option(Effect.currentParentSpan),
  (annotations, span) =>
    Option.orElse(HashMap.get(annotations, key), () =>
      span.pipe(
        Option.map(({ traceId }) => traceId),
        Option.filter((id) => id !== untraced)
      )
    )
)

/** Makes an effect speak for a component. */
export const component = (name: string): (<A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
  Effect.annotateLogs("component", name)

/**
 * Makes effects speak for a machine: their lines and spans have its identity, whoever runs them and whenever. The correlation id
 * is that of whoever runs them; who has none gets that of whoever made this.
 */
export const speaker = Effect.fnUntraced(function* (identity: Identity) {
  const ofLaunch = Option.getOrElse(yield* ofCaller, () => crypto.randomUUID())
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(ofCaller, (id) =>
      effect.pipe(
        Effect.annotateLogs({ ...identity, component: "vm", [key]: Option.getOrElse(id, () => ofLaunch) }),
        Effect.annotateSpans({ ...identity })
      )
    )
})
