/** Spans of time as people write them. */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** What `effect/Duration` reads, with one space and no sign, so that JSON holds it. */
const written = /^\d{1,9}(\.\d{1,9})? (nano|micro|milli|second|minute|hour|day|week)s?$/

const units = ["millis", "second", "seconds", "minutes", "hours", "days"] as const

const Written = Schema.String.pipe(
  Schema.filter((text): text is `${number} ${Duration.Unit}` => written.test(text), {
    jsonSchema: { pattern: written.source },
    arbitrary: () => (fc) =>
      fc.tuple(fc.nat(999_999_999), fc.constantFrom(...units)).map(([amount, unit]) => `${amount} ${unit}` as const)
  })
)

/**
 * A number with a unit ("30 seconds", "1.5 hours"), or a number of milliseconds. It stays as it was written, and goes
 * wherever Effect takes a duration.
 *
 * @category models
 */
export const TimeLimit = Schema.Union(Schema.JsonNumber, Written).annotations({
  identifier: "TimeLimit",
  description: 'a number with a unit ("30 seconds", "1.5 hours"), or a number of milliseconds'
})
/** @category models */
export type TimeLimit = typeof TimeLimit.Type
