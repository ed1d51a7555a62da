import {
  Backend,
  BackendError,
  type BackendName,
  type Capabilities,
  type PassedOver,
  type ProbeReport
} from "@capsa/core"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { component } from "./identity.ts"

/** A backend that may be chosen, as data. @category models */
export interface Candidate {
  readonly name: BackendName
  /** What it can do where it works. */
  readonly capabilities: Capabilities
  /** Looks at the host; never fails. */
  readonly probe: Effect.Effect<ProbeReport>
  /** Fails where the backend cannot serve. */
  readonly layer: Layer.Layer<Backend, BackendError>
}

/** The first candidate whose layer can be built, or the one that `CAPSA_BACKEND` names. */
export const select = (candidates: ReadonlyArray<Candidate>): Layer.Layer<Backend, BackendError> =>
  Config.string("CAPSA_BACKEND").pipe(
    Config.withDefault("auto"),
    Effect.orDie,
    Effect.map((wanted) => (wanted === "auto" ? firstOf(candidates, []) : named(wanted, candidates, "CAPSA_BACKEND"))),
    Layer.unwrapEffect
  )

/** The candidate of a name that `subject` gave, which fails where there is none. */
export const named = (
  wanted: string,
  candidates: ReadonlyArray<Candidate>,
  subject: string
): Layer.Layer<Backend, BackendError> =>
  candidates.find(({ name }) => name === wanted)?.layer ??
  Layer.fail(
    new BackendError({
      reason: "UnknownBackend",
      detail: `There is no backend "${wanted}" here.`,
      hint: `Set ${subject} to ${["auto", ...candidates.map(({ name }) => name)].join(", ")}, or unset it.`,
      subject
    })
  )

const firstOf = (
  [candidate, ...others]: ReadonlyArray<Candidate>,
  passedOver: ReadonlyArray<PassedOver>
): Layer.Layer<Backend, BackendError> => {
  if (candidate === undefined) return Layer.fail(noneOf(passedOver))
  return candidate.layer.pipe(
    Layer.map((context) => Context.add(context, Backend, { ...Context.get(context, Backend), passedOver })),
    Layer.tap((context) => logChoice(Context.get(context, Backend))),
    Layer.catchAll((error) => firstOf(others, [...passedOver, { backend: candidate.name, error }]))
  )
}

/** A second choice is news: it may be much slower. */
const logChoice = ({ description, passedOver }: Context.Tag.Service<Backend>) =>
  component("backend")(
    passedOver.length === 0
      ? Effect.logDebug(`backend: ${description}`)
      : Effect.logInfo(`backend: ${description}; passed over: ${passedOver.map(because).join("; ")}`)
  )

const because = ({ backend, error }: PassedOver): string => `${backend}: ${error.message}`

const noneOf = (passedOver: ReadonlyArray<PassedOver>): BackendError =>
  new BackendError({
    reason: "NoneAvailable",
    detail: `No backend can run machines here: ${passedOver.map(because).join("; ")}`,
    hint: passedOver.map(({ backend, error }) => `${backend}: ${error.hint}`).join(" "),
    cause: passedOver[0]?.error
  })
