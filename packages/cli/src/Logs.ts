/** `capsa logs`: what a detached machine has said on its console. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { answers, reach } from "./detached/Reach.ts"
import { Stdio } from "./Stdio.ts"

/** The verb. */
export const logs = Effect.fn("logs")(function* ({
  follow,
  machine
}: {
  readonly follow: boolean
  readonly machine: string
}) {
  const { stderr, stdout } = yield* Stdio
  const reached = yield* reach(machine)
  const lost = yield* answers(reached, reached.client.logs({ follow })).pipe(
    Stream.runFoldEffect(0, (sum, { bytes, lost }) => Effect.as(stdout.write(bytes), sum + lost))
  )
  if (lost > 0) yield* stderr.write(`capsa: ${lost} bytes of it are not kept any more.\n`)
}, Effect.scoped)
