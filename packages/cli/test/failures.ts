/** What the tests of the command's errors share. */
import { ReportedError } from "@capsa/cli"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Reasons that take a guest. */
export type OfGuests = "RunError.Timeout" | "RunError.Panic" | "RunError.Failed"

const Failed = Schema.parseJson(Schema.Struct({ error: ReportedError }))

/** Fails with the error in the JSON that a program printed. */
export const failsWith = (print: () => Promise<string>): Effect.Effect<never, ReportedError> =>
  Effect.promise(print).pipe(
    Effect.flatMap((text) => Effect.orDie(Schema.decode(Failed)(text))),
    Effect.flatMap(({ error }) => Effect.fail(error))
  )
