export { Backend, type PassedOver } from "./Backend.ts"
export { BackendError, BackendErrorReason } from "./BackendError.ts"
export { BackendName } from "./BackendName.ts"
export { BootConfig, BuiltinBoot, DirectBoot, FirmwareBoot } from "./BootConfig.ts"
export { BootPlan, FirmwarePlan, type GuestImages, KernelPlan } from "./BootPlan.ts"
export { BootStage, BootStageName } from "./BootStage.ts"
export { Capabilities, Feature, type Features, noFeatures, Support, supported, unsupported } from "./Capabilities.ts"
export { ConsoleError } from "./ConsoleError.ts"
export { BackingImage, DiskConfig } from "./DiskConfig.ts"
export { Failure } from "./Failure.ts"
export { KernelCmdlineError } from "./KernelCmdlineError.ts"
export { IoLimits, LimitsConfig } from "./LimitsConfig.ts"
export type { BalloonStats, Channel, GuestMemory, Machine, MachineStats } from "./Machine.ts"
export { MachineError } from "./MachineError.ts"
export { MainConfig } from "./MainConfig.ts"
export { MemorySize } from "./MemorySize.ts"
export {
  DnsConfig,
  NetworkConfig,
  NetworkPolicy,
  PolicyRule,
  PolicyRules,
  PortForward,
  SwitchNetwork,
  TapNetwork,
  UserNetwork
} from "./NetworkConfig.ts"
export type {
  ClosedRange,
  MachineNetwork,
  NetworkDecision,
  NetworkFlow,
  NetworkLogLine,
  NetworkReason
} from "./NetworkFlow.ts"
export { ForwardPlan, NetworkPlan, SwitchNetworkPlan, TapNetworkPlan, UserNetworkPlan } from "./NetworkPlan.ts"
export { PoolError, PoolErrorReason } from "./PoolError.ts"
export { Finding, ProbeReport } from "./Probe.ts"
export { SandboxError, SandboxErrorReason } from "./SandboxError.ts"
export { ShareConfig } from "./ShareConfig.ts"
export { StateError, StateErrorReason } from "./StateError.ts"
export { TimeSpan } from "./TimeSpan.ts"
export { VmBootError, VmBootErrorReason } from "./VmBootError.ts"
export { ConsoleConfig, VmConfig } from "./VmConfig.ts"
export { VmConfigError, VmConfigProblem } from "./VmConfigError.ts"
export { VmError } from "./VmError.ts"
export { VmExit } from "./VmExit.ts"
export { VmStatus } from "./VmStatus.ts"
export { VsockError, VsockErrorReason } from "./VsockError.ts"
