/** All that `Vm.launch` can fail with. */
import type { BackendError } from "./BackendError.ts"
import type { StateError } from "./StateError.ts"
import type { VmBootError } from "./VmBootError.ts"
import type { VmConfigError } from "./VmConfigError.ts"

/** @category errors */
export type VmError = BackendError | StateError | VmBootError | VmConfigError
