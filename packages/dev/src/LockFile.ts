/**
 * What bun.lock says.
 *
 * @since 0.1.0
 */

/** A package from the registry. */
export interface LockedPackage {
  /** `name@version` */
  readonly id: string
  /** Installed on some systems only. */
  readonly isPlatformSpecific: boolean
}

/** The registry's packages in the text of a bun.lock. */
export const parseLock = (text: string): ReadonlyArray<LockedPackage> => {
  const packages = field(Bun.JSONC.parse(text), "packages")
  if (!isRecord(packages)) throw new Error("bun.lock has no packages")
  return Object.values(packages).flatMap((entry) => {
    const [id, , details] = Array.isArray(entry) ? entry : []
    if (typeof id !== "string" || id.includes("@workspace:")) return []
    return [{ id, isPlatformSpecific: field(details, "os") !== undefined || field(details, "cpu") !== undefined }]
  })
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const field = (value: unknown, name: string): unknown => (isRecord(value) ? value[name] : undefined)
