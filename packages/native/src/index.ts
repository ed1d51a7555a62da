export { FileLock } from "./FileLock.ts"
export * as HostTicks from "./HostTicks.ts"
export * as Native from "./Native.ts"
export { NativeError, NativeStatus } from "./NativeError.ts"
