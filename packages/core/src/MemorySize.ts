/** Amounts of guest memory as people write them. */
import * as Schema from "effect/Schema"

/**
 * A string with a binary unit ("512MiB", "2GiB", "1TiB"), or a number of MiB. It stays as it was written; {@link toMib}
 * tells what it means.
 *
 * @category models
 */
export const MemorySize = Schema.Union(
  Schema.Int,
  Schema.String.pipe(Schema.pattern(/^\d{1,9}(MiB|GiB|TiB)$/))
).annotations({
  identifier: "MemorySize",
  description: 'a whole number with a binary unit ("512MiB", "2GiB", "1TiB"), or a number of MiB'
})
/** @category models */
export type MemorySize = typeof MemorySize.Type

const unitMib: Record<string, number> = { MiB: 1, GiB: 1024, TiB: 1024 * 1024 }

/** The size in MiB. */
export const toMib = (size: MemorySize): number =>
  typeof size === "number" ? size : Number.parseInt(size, 10) * (unitMib[size.slice(-3)] ?? 1)

/** A number of MiB with the largest unit that leaves it whole: "512MiB", "5GiB". */
export const format = (mib: number): string => {
  const unit = mib !== 0 && mib % 1048576 === 0 ? "TiB" : mib !== 0 && mib % 1024 === 0 ? "GiB" : "MiB"
  return `${mib / (unitMib[unit] ?? 1)}${unit}`
}
