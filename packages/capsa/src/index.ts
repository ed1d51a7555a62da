/** Virtual machines from TypeScript. */
export {
  BackendError,
  type BackendName,
  BootStage,
  Capabilities,
  ConsoleError,
  type Finding,
  MachineError,
  type MachineStats,
  type NetworkDecision,
  type NetworkFlow,
  type NetworkLogLine,
  NetworkPolicy,
  type PassedOver,
  PoolError,
  type ProbeReport,
  SandboxError,
  StateError,
  VmBootError,
  VmConfig,
  VmConfigError,
  VmError,
  VmExit,
  VmStatus,
  VsockError
} from "@capsa/core"
export * as Failure from "@capsa/core/Failure"
export * as KernelCmdline from "@capsa/core/KernelCmdline"
export { Kvm } from "@capsa/kvm"
export { Qemu } from "@capsa/qemu"
export * as Backend from "./Backend.ts"
export type {
  Console,
  ConsoleChunk,
  ConsoleMatch,
  ExpectOptions,
  LoginOptions,
  Pattern,
  RunOptions,
  RunResult
} from "./Console.ts"
export { GuestImage } from "./GuestImage.ts"
export * as Logging from "./Logging.ts"
export * as Metrics from "./Metrics.ts"
export * as Sandbox from "./Sandbox.ts"
export * as Vm from "./Vm.ts"
export type { VmNetwork } from "./VmNetwork.ts"
export * as VmPool from "./VmPool.ts"
export * as Vsock from "./Vsock.ts"
