/** All that a launch can fail with. */
import * as Schema from "effect/Schema"
import { BackendError } from "./BackendError.ts"
import { SandboxError } from "./SandboxError.ts"
import { StateError } from "./StateError.ts"
import { VmBootError } from "./VmBootError.ts"
import { VmConfigError } from "./VmConfigError.ts"

/** @category errors */
export const VmError = Schema.Union(BackendError, SandboxError, StateError, VmBootError, VmConfigError)
/** @category errors */
export type VmError = typeof VmError.Type
