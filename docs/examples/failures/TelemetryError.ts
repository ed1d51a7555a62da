import { Telemetry } from "@capsa/telemetry"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Shows metrics at the usual port, or at a free one if another program has that. */
export const metrics = Telemetry.layer({ prometheus: {} }).pipe(
  Layer.catchAll((error) =>
    error.reason === "AddressUnavailable" ? Telemetry.layer({ prometheus: { port: 0 } }) : Layer.fail(error)
  ),
  Layer.tapError((error) => Effect.logError(`${error.message}: ${error.hint}`))
)
