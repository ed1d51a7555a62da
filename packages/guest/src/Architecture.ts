/**
 * For which processors images are built.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * @since 0.1.0
 * @category models
 */
export type Architecture = "x86_64" | "arm64"

/**
 * That of this host.
 *
 * @since 0.1.0
 * @category models
 */
export const host: Architecture = process.arch === "arm64" ? "arm64" : "x86_64"

/**
 * The architecture whose packages and images are meant: the host's, unless another is provided.
 *
 * @since 0.1.0
 * @category references
 */
export class Target extends Context.Reference<Target>()("@capsa/guest/Target", {
  defaultValue: (): Architecture => host
}) {}

/**
 * What Debian calls it.
 *
 * @since 0.1.0
 * @category models
 */
export const debianName: Readonly<Record<Architecture, string>> = { x86_64: "amd64", arm64: "arm64" }
