/** Why figures and traces cannot be shown. */
import { docsOf, type FailureReasons, schemaOf } from "@capsa/core/FailureReason"
import * as Schema from "effect/Schema"

/** What each reason means. @category models */
export const reasons = {
  InvalidUrl: {
    happened: "`otlpUrl` is no address that traces and figures could be sent to.",
    retryable: false,
    remedy: "Give the base address of an OTLP collector that takes HTTP: `http://127.0.0.1:4318`."
  },
  AddressUnavailable: {
    happened:
      "The Prometheus endpoint cannot listen where it should: the port is taken, or the address is not this host's.",
    retryable: false,
    remedy: "Give another `prometheus.port` (0 takes a free one) or `prometheus.host`."
  }
} as const satisfies FailureReasons

/** @category models */
export const TelemetryErrorReason = schemaOf(reasons)
/** @category models */
export type TelemetryErrorReason = typeof TelemetryErrorReason.Type

/**
 * Telemetry cannot be set up; nothing of it is left.
 *
 * @category errors
 */
export class TelemetryError extends Schema.TaggedError<TelemetryError>("@capsa/telemetry/TelemetryError")(
  "TelemetryError",
  {
    reason: TelemetryErrorReason,
    /** The address at fault. */
    subject: Schema.String,
    /** The host's error name: "EADDRINUSE". */
    errno: Schema.optional(Schema.String)
  }
) {
  override get message(): string {
    const what =
      this.reason === "InvalidUrl" ? "Not an http or https address" : "The Prometheus endpoint cannot listen there"
    return `${what} (${[this.subject, this.errno].filter((part) => part !== undefined).join(", ")})`
  }
  /** What to do about it. */
  get hint(): string {
    return reasons[this.reason].remedy
  }
  /** Whether the same may work a little later. */
  get retryable(): boolean {
    return reasons[this.reason].retryable
  }
  /** Where the reason is explained. */
  get docs(): string {
    return docsOf(this)
  }
}
