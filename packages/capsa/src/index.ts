/** Virtual machines from TypeScript. */
export {
  type BackendError,
  type BackendName,
  BootStage,
  Capabilities,
  ConsoleError,
  type Finding,
  MachineError,
  type MachineStats,
  type ProbeReport,
  VmBootError,
  VmConfig,
  VmConfigError,
  type VmError,
  VmExit,
  VmStatus
} from "@capsa/core"
export { Kvm } from "@capsa/kvm"
export { Qemu } from "@capsa/qemu"
export * as Backend from "./Backend.ts"
export type { Console, ConsoleChunk, ConsoleMatch, ExpectOptions, Pattern } from "./Console.ts"
export { GuestImage } from "./GuestImage.ts"
export * as Vm from "./Vm.ts"
