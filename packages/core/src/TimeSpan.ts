/** Lengths of time as people write them. */
import * as Schema from "effect/Schema"

const Unit = Schema.Literal(
  ...(["nano", "nanos", "micro", "micros", "milli", "millis", "second", "seconds"] as const),
  ...(["minute", "minutes", "hour", "hours", "day", "days", "week", "weeks"] as const)
)

/**
 * A string with a unit ("30 seconds", "1 day"), or a number of milliseconds. It stays as it was written, and is one of
 * Effect's `DurationInput`s.
 *
 * @category models
 */
export const TimeSpan = Schema.Union(
  Schema.Finite.pipe(Schema.nonNegative()),
  Schema.TemplateLiteral(Schema.Number, " ", Unit).pipe(Schema.pattern(/^\d{1,12}(\.\d{1,6})? [a-z]+$/))
).annotations({
  identifier: "TimeSpan",
  description: 'a number and a unit ("30 seconds", "5 minutes", "1 day"), or a number of milliseconds'
})
/** @category models */
export type TimeSpan = typeof TimeSpan.Type
