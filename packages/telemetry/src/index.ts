/** Figures and traces of machines for OpenTelemetry and Prometheus. */
export * as Telemetry from "./Telemetry.ts"
export { TelemetryError } from "./TelemetryError.ts"
